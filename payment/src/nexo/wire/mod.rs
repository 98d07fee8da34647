//! Messages of the nexo Sale to POI protocol 3.0 as JSON, as Adyen's Terminal API has them.
//!
//! A message is a header and a body, whole or sealed ([`super::crypto`]). Unknown fields and unknown bodies are no
//! error; what is needed and missing is. Card numbers and tracks (`SensitiveCardData`) are not read at all.

mod body;
pub mod device;
mod header;
mod number;
mod shape;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use body::{
    Abort, AcquirerData, AmountsRequested, AmountsResponded, Answer, CardData, DiagnosisRequest, DiagnosisResponse,
    EventNotification, Identification, InstrumentData, MessageReference, Original, OutputContent, OutputText,
    PaymentData, PaymentRequest, PaymentResponse, PaymentResult, PaymentTransaction, PoiData, PoiStatus, Predefined,
    Receipt, Repeated, RepeatedBody, ReversalRequest, ReversalResponse, SaleData, TransactionStatusRequest,
    TransactionStatusResponse,
};
pub use header::{Category, Class, Direction, Header};
pub use number::Number;

use super::crypto::{Key, Sealed, Trailer, Unopened};
use device::{DisplayRequest, DisplayResponse, InputRequest, InputResponse, PrintRequest, PrintResponse};

/// A message. `Debug` shows no card number, wherever one stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Who asks whom, and under which number.
    pub header: Header,
    /// What.
    pub body: Body,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// `PaymentRequest`: a payment, or a refund without reference.
    Payment(Box<PaymentRequest>),
    /// `PaymentResponse`.
    Paid(Box<PaymentResponse>),
    /// `ReversalRequest`.
    Reversal(Box<ReversalRequest>),
    /// `ReversalResponse`.
    Reversed(Box<ReversalResponse>),
    /// `TransactionStatusRequest`.
    TransactionStatus(TransactionStatusRequest),
    /// `TransactionStatusResponse`.
    TransactionIs(Box<TransactionStatusResponse>),
    /// `AbortRequest`, which is not answered.
    Abort(Abort),
    /// `DiagnosisRequest`.
    Diagnosis(DiagnosisRequest),
    /// `DiagnosisResponse`.
    Diagnosed(DiagnosisResponse),
    /// `EventNotification`, which is not answered.
    Event(EventNotification),
    /// `DisplayRequest`, in either direction.
    Display(DisplayRequest),
    /// `DisplayResponse`.
    Displayed(DisplayResponse),
    /// `InputRequest`.
    Input(Box<InputRequest>),
    /// `InputResponse`.
    Entered(Box<InputResponse>),
    /// `PrintRequest`.
    Print(PrintRequest),
    /// `PrintResponse`.
    Printed(PrintResponse),
    /// None of these.
    Other,
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// They are no JSON of this protocol, and where.
    Invalid(String),
    /// The message is sealed, and cannot be opened.
    Sealed(Unopened),
    /// The message is sealed, and there is no key.
    NoKey,
    /// The message is not sealed although there is a key.
    NotSealed,
    /// The header that stands in clear beside the sealed message is not the one inside.
    OtherHeader,
}

impl Message {
    /// As JSON, sealed if there is a key and a nonce.
    pub fn to_json(&self, sealed_with: Option<(&Key, [u8; 16])>) -> String {
        let whole = envelope(self.header.direction, Inner::of(self));
        let Some((key, nonce)) = sealed_with else { return whole };
        let Sealed { blob, trailer } = key.seal(whole.as_bytes(), nonce);
        let mut inner = Inner::empty(self.header.clone());
        (inner.nexo_blob, inner.security_trailer) = (Some(blob), Some(trailer));
        envelope(self.header.direction, inner)
    }

    /// From JSON. With a key, the message must be sealed.
    ///
    /// # Errors
    /// It is none of this protocol, or cannot be opened. Nothing in it counts then.
    pub fn from_json(bytes: &[u8], key: Option<&Key>) -> Result<Self, Fault> {
        let (direction, mut inner) = read(bytes)?;
        let sealed = inner.nexo_blob.take().zip(inner.security_trailer.take());
        match (sealed, key) {
            (None, None) => inner.message(direction),
            (None, Some(_)) => Err(Fault::NotSealed),
            (Some(_), None) => Err(Fault::NoKey),
            (Some((blob, trailer)), Some(key)) => {
                let clear = key.open(&Sealed { blob, trailer }).map_err(Fault::Sealed)?;
                let (inside, whole) = read(&clear)?;
                let message = whole.message(inside)?;
                let same = inside == direction && inner.message_header == message.header;
                if same { Ok(message) } else { Err(Fault::OtherHeader) }
            }
        }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&body::shown(&format!("Message {{ {:?}, {:?} }}", self.header, self.body)))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "this is no message of nexo retailer: {why}"),
            Self::Sealed(why) => why.fmt(f),
            Self::NoKey => f.write_str("the message is encrypted, and the till has no key"),
            Self::NotSealed => f.write_str("the message is not encrypted although the till has a key"),
            Self::OtherHeader => f.write_str("the header beside the encrypted message is not the one inside"),
        }
    }
}

/// The outermost object.
#[derive(Serialize, Deserialize)]
struct Outer {
    #[serde(rename = "SaleToPOIRequest", default, skip_serializing_if = "Option::is_none")]
    request: Option<Box<Inner>>,
    #[serde(rename = "SaleToPOIResponse", default, skip_serializing_if = "Option::is_none")]
    response: Option<Box<Inner>>,
}

/// The object inside it: the header, and one of the others.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inner {
    message_header: Header,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nexo_blob: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    security_trailer: Option<Trailer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment_request: Option<Box<PaymentRequest>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment_response: Option<Box<PaymentResponse>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reversal_request: Option<Box<ReversalRequest>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reversal_response: Option<Box<ReversalResponse>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transaction_status_request: Option<TransactionStatusRequest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transaction_status_response: Option<Box<TransactionStatusResponse>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    abort_request: Option<Abort>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diagnosis_request: Option<DiagnosisRequest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diagnosis_response: Option<DiagnosisResponse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_notification: Option<EventNotification>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_request: Option<DisplayRequest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_response: Option<DisplayResponse>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_request: Option<Box<InputRequest>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_response: Option<Box<InputResponse>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    print_request: Option<PrintRequest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    print_response: Option<PrintResponse>,
}

impl Inner {
    fn empty(message_header: Header) -> Self {
        Self {
            message_header,
            nexo_blob: None,
            security_trailer: None,
            payment_request: None,
            payment_response: None,
            reversal_request: None,
            reversal_response: None,
            transaction_status_request: None,
            transaction_status_response: None,
            abort_request: None,
            diagnosis_request: None,
            diagnosis_response: None,
            event_notification: None,
            display_request: None,
            display_response: None,
            input_request: None,
            input_response: None,
            print_request: None,
            print_response: None,
        }
    }

    fn of(message: &Message) -> Self {
        let mut inner = Self::empty(message.header.clone());
        match message.body.clone() {
            Body::Payment(body) => inner.payment_request = Some(body),
            Body::Paid(body) => inner.payment_response = Some(body),
            Body::Reversal(body) => inner.reversal_request = Some(body),
            Body::Reversed(body) => inner.reversal_response = Some(body),
            Body::TransactionStatus(body) => inner.transaction_status_request = Some(body),
            Body::TransactionIs(body) => inner.transaction_status_response = Some(body),
            Body::Abort(body) => inner.abort_request = Some(body),
            Body::Diagnosis(body) => inner.diagnosis_request = Some(body),
            Body::Diagnosed(body) => inner.diagnosis_response = Some(body),
            Body::Event(body) => inner.event_notification = Some(body),
            Body::Display(body) => inner.display_request = Some(body),
            Body::Displayed(body) => inner.display_response = Some(body),
            Body::Input(body) => inner.input_request = Some(body),
            Body::Entered(body) => inner.input_response = Some(body),
            Body::Print(body) => inner.print_request = Some(body),
            Body::Printed(body) => inner.print_response = Some(body),
            Body::Other => {}
        }
        inner
    }

    /// Exactly one body, of the header's category.
    fn message(self, direction: Direction) -> Result<Message, Fault> {
        let header = Header { direction, ..self.message_header };
        let mut bodies = [
            self.payment_request.map(Body::Payment),
            self.payment_response.map(Body::Paid),
            self.reversal_request.map(Body::Reversal),
            self.reversal_response.map(Body::Reversed),
            self.transaction_status_request.map(Body::TransactionStatus),
            self.transaction_status_response.map(Body::TransactionIs),
            self.abort_request.map(Body::Abort),
            self.diagnosis_request.map(Body::Diagnosis),
            self.diagnosis_response.map(Body::Diagnosed),
            self.event_notification.map(Body::Event),
            self.display_request.map(Body::Display),
            self.display_response.map(Body::Displayed),
            self.input_request.map(Body::Input),
            self.input_response.map(Body::Entered),
            self.print_request.map(Body::Print),
            self.print_response.map(Body::Printed),
        ]
        .into_iter()
        .flatten();
        let body = bodies.next().unwrap_or(Body::Other);
        if bodies.next().is_some() {
            return Err(Fault::Invalid("it has more than one body".into()));
        }
        if body.belongs().is_some_and(|(category, way)| category != header.category || way != direction) {
            return Err(Fault::Invalid("its header does not fit its body".into()));
        }
        Ok(Message { header, body })
    }
}

impl Body {
    /// The category and direction of messages with this body.
    fn belongs(&self) -> Option<(Category, Direction)> {
        Some(match self {
            Self::Payment(_) => (Category::Payment, Direction::Request),
            Self::Paid(_) => (Category::Payment, Direction::Response),
            Self::Reversal(_) => (Category::Reversal, Direction::Request),
            Self::Reversed(_) => (Category::Reversal, Direction::Response),
            Self::TransactionStatus(_) => (Category::TransactionStatus, Direction::Request),
            Self::TransactionIs(_) => (Category::TransactionStatus, Direction::Response),
            Self::Abort(_) => (Category::Abort, Direction::Request),
            Self::Diagnosis(_) => (Category::Diagnosis, Direction::Request),
            Self::Diagnosed(_) => (Category::Diagnosis, Direction::Response),
            Self::Event(_) => (Category::Event, Direction::Notification),
            Self::Display(_) => (Category::Display, Direction::Request),
            Self::Displayed(_) => (Category::Display, Direction::Response),
            Self::Input(_) => (Category::Input, Direction::Request),
            Self::Entered(_) => (Category::Input, Direction::Response),
            Self::Print(_) => (Category::Print, Direction::Request),
            Self::Printed(_) => (Category::Print, Direction::Response),
            Self::Other => return None,
        })
    }
}

fn envelope(direction: Direction, inner: Inner) -> String {
    let (mut request, mut response) = (None, None);
    match direction {
        Direction::Request | Direction::Notification => request = Some(Box::new(inner)),
        Direction::Response => response = Some(Box::new(inner)),
    }
    serde_json::to_string(&Outer { request, response }).expect("strings, numbers and objects become JSON")
}

fn read(bytes: &[u8]) -> Result<(Direction, Inner), Fault> {
    let outer = shape::check(bytes).and_then(|()| serde_json::from_slice(bytes));
    let outer: Outer = outer.map_err(|e| Fault::Invalid(place(&e)))?;
    match (outer.request, outer.response) {
        (Some(inner), None) => Ok((inner.message_header.direction.or_request(), *inner)),
        (None, Some(inner)) => Ok((Direction::Response, *inner)),
        _ => Err(Fault::Invalid("it is neither a request nor a response".into())),
    }
}

/// What is wrong and where, without what stands there: that may be a card number.
fn place(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Io | Category::Eof => "it ends too early",
        Category::Syntax => "it is no JSON",
        Category::Data => "a field is missing or of another type",
    };
    format!("{what}, line {} column {}", error.line(), error.column())
}
