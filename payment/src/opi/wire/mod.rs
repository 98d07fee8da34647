//! Messages as values: requests of the till and their responses (channel 0), and [`device`] requests (channel 1).
//!
//! What a message holds beyond these values stays in [`Response::raw`] and is ignored. The shapes are those of
//! O.P.I.'s public examples, named where they are tested; see the [module](super) for what is unproven.

pub mod device;

use std::fmt;

use jiff::civil::DateTime;
use tresen_hal::{Amount, Currency};

use super::results::OverallResult;
use super::xml::{Element, Encoding, Invalid};
use crate::amount;
use device::{DeviceRequest, DeviceResponse};

/// Which service a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `CardServiceRequest`: about cards and money.
    Card,
    /// `ServiceRequest`: everything else.
    Service,
}

/// The attributes that all messages have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// `CardPayment`, `Output`.
    pub request_type: String,
    /// Names the request; the response repeats it.
    pub request_id: String,
    /// The till.
    pub workstation: Option<String>,
    /// The terminal, as the till names it.
    pub pop: Option<String>,
    /// The program that sends it.
    pub sender: Option<String>,
}

impl Header {
    /// A header of a request of this type.
    pub fn new(request_type: impl Into<String>, request_id: impl Into<String>) -> Self {
        Self { request_type: request_type.into(), request_id: request_id.into(), ..Self::default() }
    }

    /// Whether it is of this type; terminals differ in case.
    pub fn is(&self, request_type: &str) -> bool {
        self.request_type.eq_ignore_ascii_case(request_type)
    }

    fn read(root: &Element) -> Self {
        let text = |name| root.value(name).map(str::to_owned);
        Self {
            request_type: text("RequestType").unwrap_or_default(),
            request_id: text("RequestID").unwrap_or_default(),
            workstation: text("WorkstationID"),
            pop: text("POPID"),
            sender: text("ApplicationSender"),
        }
    }

    fn write(&self, name: &str) -> Element {
        Element::new(name)
            .with_some("ApplicationSender", self.sender.as_ref())
            .with_some("POPID", self.pop.as_ref())
            .with("RequestID", &self.request_id)
            .with("RequestType", &self.request_type)
            .with_some("WorkstationID", self.workstation.as_ref())
            .with("xmlns", NAMESPACE)
    }
}

/// What the till asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its service.
    pub family: Family,
    /// Its header.
    pub header: Header,
    /// The till's date and time.
    pub at: Option<DateTime>,
    /// `de`: the language of texts for the cashier.
    pub language: Option<String>,
    /// What to pay.
    pub amount: Option<Amount>,
    /// The transaction that is meant.
    pub original: Option<Original>,
}

/// `OriginalTransaction`: the transaction that a reversal takes back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Original {
    /// Its trace number at the terminal.
    pub stan: String,
    /// The terminal's id.
    pub terminal_id: Option<String>,
    /// The terminal's batch.
    pub batch: Option<String>,
    /// Its time, as the terminal wrote it.
    pub at: Option<String>,
}

/// What the terminal answers to a [`Request`].
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// Its service.
    pub family: Family,
    /// Its header: that of the request.
    pub header: Header,
    /// How it ended.
    pub result: OverallResult,
    /// The terminal's id.
    pub terminal_id: Option<String>,
    /// The terminal's trace number of this transaction; no number of zeros only.
    pub stan: Option<String>,
    /// The terminal's batch.
    pub batch: Option<String>,
    /// What was charged, as the message has it: [`Response::amount`].
    pub total: Option<Total>,
    /// What the acquirer said.
    pub authorisation: Authorisation,
    /// `PrivateData/ErrorCode`.
    pub error_code: Option<String>,
    /// `PrivateData/ErrorText`, or the text of `PrivateData` itself.
    pub error_text: Option<String>,
    /// Turnover by card.
    pub totals: Vec<Total>,
    /// Of a repeated message: which one it was.
    pub original: Option<OriginalHeader>,
    /// The whole message.
    pub raw: Element,
}

/// `OriginalHeader`: what `RepeatLastMessage` repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalHeader {
    /// The type of the request that it answered.
    pub request_type: String,
    /// Its id.
    pub request_id: String,
    /// How it ended.
    pub result: OverallResult,
}

/// `TotalAmount`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    /// The amount as written.
    pub value: String,
    /// The currency as written; terminals of one currency leave it out.
    pub currency: Option<String>,
    /// How many payments.
    pub number: Option<u32>,
    /// `Debit`.
    pub payment_type: Option<String>,
    /// `girocard`.
    pub circuit: Option<String>,
}

/// `Authorisation`. `Debug` does not show the card number.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authorisation {
    /// The name of the card: `girocard`.
    pub circuit: Option<String>,
    /// The card number, as the terminal sends it: possibly whole.
    pub pan: Option<String>,
    /// The number at the acquirer.
    pub merchant: Option<String>,
    /// The terminal's receipt number.
    pub receipt: Option<String>,
    /// The issuer's code.
    pub approval: Option<String>,
    /// The terminal's time, as written.
    pub at: Option<String>,
}

/// A message of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `CardServiceRequest`, `ServiceRequest`.
    Request(Request),
    /// `CardServiceResponse`, `ServiceResponse`.
    Response(Box<Response>),
    /// `DeviceRequest`.
    DeviceRequest(DeviceRequest),
    /// `DeviceResponse`.
    DeviceResponse(DeviceResponse),
    /// Any other; its name.
    Unknown(String),
}

/// The namespace of IXRetail, which OPI's messages have.
pub const NAMESPACE: &str = "http://www.nrf-arts.org/IXRetail/namespace";

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// It is no XML within the limits of [`Element::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        let root = Element::parse(bytes)?;
        let name = root.name.to_ascii_lowercase();
        Ok(match name.as_str() {
            "cardservicerequest" => Self::Request(Request::read(Family::Card, &root)),
            "servicerequest" => Self::Request(Request::read(Family::Service, &root)),
            "cardserviceresponse" => Self::Response(Box::new(Response::read(Family::Card, root))),
            "serviceresponse" => Self::Response(Box::new(Response::read(Family::Service, root))),
            "devicerequest" => Self::DeviceRequest(DeviceRequest::read(&root)),
            "deviceresponse" => Self::DeviceResponse(DeviceResponse::read(&root)),
            _ => Self::Unknown(root.name),
        })
    }
}

impl Request {
    /// A request of this type and id.
    pub fn new(family: Family, request_type: &str, request_id: impl Into<String>) -> Self {
        let header = Header::new(request_type, request_id);
        Self { family, header, at: None, language: None, amount: None, original: None }
    }

    fn read(family: Family, root: &Element) -> Self {
        let data = root.child("POSdata");
        let at = data.and_then(|d| d.value("POSTimeStamp")).and_then(time);
        let language = data.and_then(|d| d.value("LanguageCode")).map(str::to_owned);
        let amount = root.child("TotalAmount").and_then(|t| Total::read(t).amount(Currency::EUR));
        let original = root.child("OriginalTransaction").map(Original::read);
        Self { family, header: Header::read(root), at, language, amount, original }
    }

    /// The bytes of the message, without framing.
    pub fn to_bytes(&self, encoding: Encoding) -> Vec<u8> {
        let name = match self.family {
            Family::Card => "CardServiceRequest",
            Family::Service => "ServiceRequest",
        };
        let mut root = self.header.write(name);
        if self.at.is_some() || self.language.is_some() {
            let mut data = Element::new("POSdata").with_some("LanguageCode", self.language.as_ref());
            if let Some(at) = self.at {
                let at = at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
                data = data.containing(Element::new("POSTimeStamp").saying(at));
            }
            root = root.containing(data);
        }
        if let Some(amount) = self.amount {
            root = root.containing(Total::of(amount).write());
        }
        if let Some(original) = &self.original {
            root = root.containing(original.write());
        }
        root.to_bytes(encoding)
    }
}

impl Original {
    fn read(element: &Element) -> Self {
        let text = |name| element.value(name).map(str::to_owned);
        Self {
            stan: text("STAN").unwrap_or_default(),
            terminal_id: text("TerminalID"),
            batch: text("TerminalBatch"),
            at: text("TimeStamp"),
        }
    }

    fn write(&self) -> Element {
        Element::new("OriginalTransaction")
            .with("STAN", &self.stan)
            .with_some("TerminalID", self.terminal_id.as_ref())
            .with_some("TerminalBatch", self.batch.as_ref())
            .with_some("TimeStamp", self.at.as_ref())
    }
}

impl Response {
    /// A response to a request with this header.
    pub fn new(family: Family, header: Header, result: OverallResult) -> Self {
        Self {
            family,
            header,
            result,
            terminal_id: None,
            stan: None,
            batch: None,
            total: None,
            authorisation: Authorisation::default(),
            error_code: None,
            error_text: None,
            totals: Vec::new(),
            original: None,
            raw: Element::default(),
        }
    }

    /// What was charged, if the message says so. A terminal that leaves the currency out means `usual`.
    ///
    /// # Errors
    /// What it says is no amount, or of an unknown currency: the text as it stands.
    pub fn amount(&self, usual: Currency) -> Result<Option<Amount>, String> {
        let Some(total) = &self.total else { return Ok(None) };
        let unread = || format!("{} {}", total.value, total.currency.as_deref().unwrap_or_default()).trim().to_owned();
        total.amount(usual).map(Some).ok_or_else(unread)
    }

    /// The terminal's time of the transaction.
    pub fn at(&self) -> Option<DateTime> {
        self.authorisation.at.as_deref().and_then(time)
    }

    fn read(family: Family, root: Element) -> Self {
        let mut response = Self::new(
            family,
            Header::read(&root),
            OverallResult::parse(root.value("OverallResult").unwrap_or_default()),
        );
        let text = |element: Option<&Element>, name: &str| element.and_then(|e| e.value(name)).map(str::to_owned);
        let terminal = root.child("Terminal");
        response.terminal_id = text(terminal, "TerminalID").or_else(|| text(Some(&root), "TerminalID"));
        response.stan = text(terminal, "STAN").filter(|stan| stan.bytes().any(|b| b != b'0'));
        response.batch = text(terminal, "TerminalBatch");
        let tender = root.child("Tender");
        response.total = tender.and_then(|t| t.child("TotalAmount")).map(Total::read);
        let authorisation = tender.and_then(|t| t.child("Authorisation")).or_else(|| root.child("Authorisation"));
        if let Some(element) = authorisation {
            response.authorisation = Authorisation::read(element);
        }
        if let Some(private) = root.child("PrivateData") {
            response.error_code = text(Some(private), "ErrorCode");
            let own = private.text.trim();
            // JTL's bridge: `answer-txt=…`.
            let own = own.strip_prefix("answer-txt=").unwrap_or(own);
            response.error_text =
                text(Some(private), "ErrorText").or_else(|| (!own.is_empty()).then(|| own.to_owned()));
        }
        if let Some(all) = root.child("Reconciliation") {
            response.totals = all.all("TotalAmount").map(Total::read).collect();
        }
        response.original = OriginalHeader::find(&root);
        response.raw = root;
        response
    }

    /// The bytes of the message, without framing. [`Response::raw`] is not written.
    pub fn to_bytes(&self, encoding: Encoding) -> Vec<u8> {
        let name = match self.family {
            Family::Card => "CardServiceResponse",
            Family::Service => "ServiceResponse",
        };
        let mut root = self.header.write(name).with("OverallResult", self.result.to_string());
        if self.terminal_id.is_some() || self.stan.is_some() {
            let terminal = Element::new("Terminal")
                .with_some("TerminalID", self.terminal_id.as_ref())
                .with_some("STAN", self.stan.as_ref())
                .with_some("TerminalBatch", self.batch.as_ref());
            root = root.containing(terminal);
        }
        let authorised = self.authorisation != Authorisation::default();
        if self.total.is_some() || authorised {
            let mut tender = Element::new("Tender");
            tender.children.extend(self.total.as_ref().map(Total::write));
            tender.children.extend(authorised.then(|| self.authorisation.write()));
            root = root.containing(tender);
        }
        if !self.totals.is_empty() {
            let mut all = Element::new("Reconciliation");
            all.children.extend(self.totals.iter().map(Total::write));
            root = root.containing(all);
        }
        root.children.extend(self.original.as_ref().map(OriginalHeader::write));
        if self.error_code.is_some() || self.error_text.is_some() {
            let mut private = Element::new("PrivateData");
            for (name, text) in [("ErrorCode", &self.error_code), ("ErrorText", &self.error_text)] {
                private.children.extend(text.as_ref().map(|text| Element::new(name).saying(text)));
            }
            root = root.containing(private);
        }
        root.to_bytes(encoding)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("header", &self.header)
            .field("result", &self.result)
            .field("terminal_id", &self.terminal_id)
            .field("stan", &self.stan)
            .field("total", &self.total)
            .field("original", &self.original)
            .finish_non_exhaustive()
    }
}

impl OriginalHeader {
    fn find(root: &Element) -> Option<Self> {
        let header = root.child("OriginalHeader")?;
        Some(Self {
            request_type: header.value("RequestType").unwrap_or_default().to_owned(),
            request_id: header.value("RequestID").unwrap_or_default().to_owned(),
            result: OverallResult::parse(header.value("OverallResult").unwrap_or_default()),
        })
    }

    fn write(&self) -> Element {
        Element::new("OriginalHeader")
            .with("RequestType", &self.request_type)
            .with("RequestID", &self.request_id)
            .with("OverallResult", self.result.to_string())
    }
}

impl Total {
    /// `amount` as messages have it.
    pub fn of(amount: Amount) -> Self {
        let currency = Some(amount.currency().code().to_owned());
        Self { value: amount.number('.'), currency, ..Self::default() }
    }

    /// What it says, in `usual` if it names no currency. `None` if it cannot be read.
    pub fn amount(&self, usual: Currency) -> Option<Amount> {
        let currency = self.currency.as_deref().map_or(Some(usual), amount::currency)?;
        amount::parse(&self.value, currency)
    }

    fn read(element: &Element) -> Self {
        let text = |name| element.value(name).map(str::to_owned);
        let number = text("NumberPayments").and_then(|n| n.parse().ok());
        let (payment_type, circuit) = (text("PaymentType"), text("CardCircuit"));
        Self { value: element.text.trim().to_owned(), currency: text("Currency"), number, payment_type, circuit }
    }

    fn write(&self) -> Element {
        Element::new("TotalAmount")
            .with_some("NumberPayments", self.number.map(|n| n.to_string()))
            .with_some("PaymentType", self.payment_type.as_ref())
            .with_some("Currency", self.currency.as_ref())
            .with_some("CardCircuit", self.circuit.as_ref())
            .saying(&self.value)
    }
}

impl Authorisation {
    fn read(element: &Element) -> Self {
        let text = |name| element.value(name).map(str::to_owned);
        Self {
            circuit: text("CardCircuit"),
            pan: text("CardPAN"),
            merchant: text("Merchant"),
            receipt: text("ReceiptNumber"),
            approval: text("ApprovalCode"),
            at: text("TimeStamp"),
        }
    }

    fn write(&self) -> Element {
        Element::new("Authorisation")
            .with_some("CardCircuit", self.circuit.as_ref())
            .with_some("CardPAN", self.pan.as_ref())
            .with_some("Merchant", self.merchant.as_ref())
            .with_some("ReceiptNumber", self.receipt.as_ref())
            .with_some("ApprovalCode", self.approval.as_ref())
            .with_some("TimeStamp", self.at.as_ref())
    }
}

impl fmt::Debug for Authorisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorisation")
            .field("circuit", &self.circuit)
            .field("receipt", &self.receipt)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// Date and time as a terminal writes it. Its offset is not to be trusted: terminals write local time with `-00:00`.
fn time(text: &str) -> Option<DateTime> {
    text.get(..19)?.parse().ok()
}

#[cfg(test)]
#[path = "../wire_tests.rs"]
mod tests;
