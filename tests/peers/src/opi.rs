//! An OPI terminal over TCP, written from public examples: it listens on channel 0 and connects to the till on
//! channel 1. XML is text here: values are cut out by their quotes, messages are templates.
//!
//! It answers `Login`, `Logoff`, `Diagnosis`, `CardPayment`, `PaymentRefund`, `PaymentReversal`, `CardPreAuthorisation`,
//! `CardFinancialAdvice`, `PreAuthReversal`,
//! `ReconciliationWithClosure`, `RepeatLastMessage` and `AbortRequest`, each connection on its own, and keeps its last
//! answer about a card for repetition.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How it misbehaves, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The next transaction is declined.
    Decline,
    /// The next transaction is done, and its answer never sent: the connection is reset.
    LoseAnswer,
    /// The next request about a card is not read, and the connection is reset.
    LoseRequest,
    /// The next answer about a card comes byte by byte.
    Trickle,
}

/// One entry of its ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `CardPayment`, `PaymentRefund`, `PaymentReversal`.
    pub kind: String,
    /// The amount as it was written, `12.50`.
    pub amount: String,
    /// Its trace number.
    pub stan: u32,
}

#[derive(Debug, Default)]
struct State {
    ledger: Vec<Entry>,
    /// The trace numbers of what was booked or released or taken back.
    ended: Vec<u32>,
    requests: Vec<String>,
    answers: Vec<String>,
    faults: Vec<Fault>,
    /// Type, id, result and body of the last answer about a card.
    last: Option<[String; 4]>,
}

/// A terminal that listens, until dropped.
#[derive(Debug)]
pub struct Terminal {
    at: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Terminal {
    /// Listens, and prints at the till at `till`.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn listen(listener: TcpListener, till: Option<SocketAddr>) -> io::Result<Self> {
        let at = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move {
                    channel_0(stream, state, till).await.ok();
                });
            }
        });
        Ok(Self { at, state, task })
    }

    /// Where it listens.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// What it has stored, oldest first.
    pub fn ledger(&self) -> Vec<Entry> {
        lock(&self.state).ledger.clone()
    }

    /// The types of the requests that came, oldest first.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }

    /// What the till has answered on channel 1.
    pub fn answers(&self) -> Vec<String> {
        lock(&self.state).answers.clone()
    }

    /// Misbehaves once.
    pub fn fault(&self, fault: Fault) {
        lock(&self.state).faults.push(fault);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder of this lock panics")
}

async fn channel_0(mut stream: TcpStream, state: Arc<Mutex<State>>, till: Option<SocketAddr>) -> io::Result<()> {
    loop {
        let request = read(&mut stream).await?;
        let (kind, id) = (value(&request, "RequestType"), value(&request, "RequestID"));
        let workstation = value(&request, "WorkstationID");
        lock(&state).requests.push(kind.clone());
        let card = request.contains("<CardServiceRequest");
        if card && take(&state, Fault::LoseRequest) {
            return stream.set_zero_linger();
        }
        let (result, body, repeated) = match kind.as_str() {
            "CardPayment"
            | "PaymentRefund"
            | "PaymentReversal"
            | "CardPreAuthorisation"
            | "CardFinancialAdvice"
            | "PreAuthReversal" => {
                let (result, body) = transaction(&state, &request, &kind);
                if result == "Success" {
                    print(till, &id, &workstation, &state).await.ok();
                }
                lock(&state).last = Some([kind.clone(), id.clone(), result.clone(), body.clone()]);
                (result, body, String::new())
            }
            "RepeatLastMessage" => match lock(&state).last.clone() {
                Some([kind, id, result, body]) => {
                    let header = format!(
                        "<OriginalHeader RequestType=\"{kind}\" RequestID=\"{id}\" OverallResult=\"{result}\"/>"
                    );
                    ("Success".into(), body, header)
                }
                None => ("Failure".into(), String::new(), String::new()),
            },
            "ReconciliationWithClosure" => {
                let payments = lock(&state).ledger.iter().filter(|e| e.kind == "CardPayment").count();
                let total = format!(
                    "<Reconciliation><TotalAmount NumberPayments=\"{payments}\" PaymentType=\"Debit\" Currency=\"EUR\">338.00</TotalAmount></Reconciliation>"
                );
                ("Success".into(), total, String::new())
            }
            "Login" | "Logoff" | "Diagnosis" | "AbortRequest" => ("Success".into(), String::new(), String::new()),
            _ => ("NotSupported".into(), String::new(), String::new()),
        };
        if card && take(&state, Fault::LoseAnswer) {
            return stream.set_zero_linger();
        }
        let name = if card { "CardServiceResponse" } else { "ServiceResponse" };
        let answer = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\n<{name}\n\txmlns=\"http://www.nrf-arts.org/IXRetail/namespace\"\n\
             \txmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" RequestType=\"{kind}\" WorkstationID=\"{workstation}\" RequestID=\"{id}\" \
             OverallResult=\"{result}\">\n\t{repeated}{body}\n</{name}>"
        );
        let trickle = card && take(&state, Fault::Trickle);
        write(&mut stream, answer.as_bytes(), trickle).await?;
    }
}

fn take(state: &Mutex<State>, fault: Fault) -> bool {
    let mut state = lock(state);
    let found = state.faults.iter().position(|f| *f == fault);
    found.map(|at| state.faults.remove(at)).is_some()
}

/// The result, and the elements that tell of it.
fn transaction(state: &Mutex<State>, request: &str, kind: &str) -> (String, String) {
    let declined = take(state, Fault::Decline);
    let mut state = lock(state);
    let stan = 21_601 + u32::try_from(state.ledger.len()).expect("few");
    // What it reverses, books or releases, once.
    let of = match kind {
        "PaymentReversal" => Some("CardPayment"),
        "CardFinancialAdvice" | "PreAuthReversal" => Some("CardPreAuthorisation"),
        _ => None,
    };
    let mut amount = text(request, "TotalAmount");
    let mut ended = None;
    if let Some(of) = of {
        let original: u32 = value(request, "STAN").parse().unwrap_or(0);
        let found = state.ledger.iter().find(|e| e.stan == original && e.kind == of);
        let Some(found) = found.filter(|e| !state.ended.contains(&e.stan)) else {
            return ("Failure".into(), String::new());
        };
        ended = Some(found.stan);
        if kind != "CardFinancialAdvice" {
            amount = found.amount.clone();
        }
    }
    let terminal = format!("<Terminal TerminalID=\"68276185\" STAN=\"{stan:06}\"/>");
    if declined || amount.is_empty() {
        let words = "<PrivateData><ErrorCode>1000005</ErrorCode><ErrorText>Nicht möglich</ErrorText></PrivateData>";
        return ("Failure".into(), format!("{terminal}{words}"));
    }
    state.ended.extend(ended);
    state.ledger.push(Entry { kind: kind.to_owned(), amount: amount.clone(), stan });
    let tender = format!(
        "<Tender><TotalAmount Currency=\"EUR\">{amount}</TotalAmount><Authorisation AuthorisationType=\"Online\" \
         CardCircuit=\"girocard\" CardPAN=\"6805330010086784747\" Merchant=\"VU-123456789017\" ReceiptNumber=\"8930\" \
         ActionCode=\"0\" AcquirerID=\"undefined\"/></Tender>"
    );
    let private =
        "<PrivateData><CardTechnologyType>NFC</CardTechnologyType><ErrorCode>1002700</ErrorCode></PrivateData>";
    ("Success".into(), format!("{terminal}{tender}{private}"))
}

/// Connects to the till and prints the customer's receipt, without a namespace, in ISO 8859-1.
async fn print(till: Option<SocketAddr>, id: &str, workstation: &str, state: &Mutex<State>) -> io::Result<()> {
    let Some(till) = till else { return Ok(()) };
    let mut stream = TcpStream::connect(till).await?;
    let request = format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<DeviceRequest RequestType=\"Output\" RequestID=\"{id}\" \
         WorkstationID=\"{workstation}\" SequenceID=\"1\" TerminalID=\"68276185\" ApplicationSender=\"Thales-OPI\">\n\
         \t<Output OutDeviceTarget=\"PrinterReceipt\">\n\t\t<TextLine Column=\"0\" Row=\"0\">K-U-N-D-E-N-B-E-L-E-G</TextLine>\n\
         \t\t<TextLine Column=\"0\" Row=\"1\">Karte 6805330010086784747</TextLine>\n\
         \t\t<TextLine Column=\"0\" Row=\"2\">Gr\u{fc}\u{df}e</TextLine>\n\t</Output>\n</DeviceRequest>"
    );
    let latin: Vec<u8> = request.chars().map(|c| u8::try_from(u32::from(c)).expect("ISO 8859-1")).collect();
    write(&mut stream, &latin, false).await?;
    let answer = read(&mut stream).await?;
    lock(state).answers.push(answer);
    Ok(())
}

async fn read(stream: &mut TcpStream) -> io::Result<String> {
    let length = stream.read_u32().await?;
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message).await?;
    Ok(String::from_utf8_lossy(&message).into_owned())
}

async fn write(stream: &mut TcpStream, message: &[u8], trickle: bool) -> io::Result<()> {
    let mut bytes = (message.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(message);
    if !trickle {
        return stream.write_all(&bytes).await;
    }
    stream.set_nodelay(true)?;
    for byte in bytes {
        stream.write_all(&[byte]).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// What stands in quotes after `name=`.
fn value(message: &str, name: &str) -> String {
    let after = message.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
    after.split('"').next().unwrap_or_default().to_owned()
}

/// What stands in the element.
fn text(message: &str, element: &str) -> String {
    let after = message.split(&format!("<{element}")).nth(1).unwrap_or_default();
    let inside = after.split_once('>').map_or("", |(_, rest)| rest);
    inside.split('<').next().unwrap_or_default().to_owned()
}
