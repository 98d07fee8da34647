//! What a terminal tells the till while a transaction runs: `DisplayRequest` and `EventNotification`, which it posts to
//! the till's web server (Adyen, "Display notifications" and "Event notifications").
//!
//! One listener serves all terminals that are told to post to one place; the `POIID` says whose a message is. It settles
//! nothing: whoever reaches the port can post there, so of a message in clear only the known events are told, and free
//! text only if it was sealed with the terminal's key. Left out: TLS, which Adyen wants of a place that is public, and the
//! password that a terminal may send along.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tresen_hal::link::Incoming;
use tresen_hal::{BoxFuture, Link};

use super::crypto::Key;
use super::form;
use super::http::{Message as Http, Reader, Start, response};
use super::options::Options;
use super::session::clean;
use super::wire::device::DisplayOutput;
use super::wire::{Body, Direction, Fault, Message};
use crate::listening::{self, Joined};

/// The open listeners of a program.
pub type Listeners = listening::Listeners<Member>;

/// Takes the connections of terminals and gives what they tell to the drivers.
pub type Listener = listening::Listener<Member>;

/// Has what the terminal with these options tells go to the returned end. It leaves when it is dropped.
pub(super) fn attach(listener: &Arc<Listener>, options: &Options) -> Attached {
    let (to, told) = mpsc::channel(WAITING);
    let member = listener.join(Member { poi: options.poi.clone(), key: options.key.clone(), to });
    Attached { told, _member: member }
}

impl listening::Member for Member {
    fn serve(incoming: Incoming, members: Arc<Members>) -> BoxFuture<'static, ()> {
        Box::pin(serve(incoming, members))
    }
}

/// One terminal's end of a listener.
#[derive(Debug)]
pub(super) struct Attached {
    told: mpsc::Receiver<Told>,
    _member: Joined<Member>,
}

/// What a terminal tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The request that it is about, if it says so.
    pub(super) service_id: Option<String>,
    /// In words.
    pub(super) text: String,
}

impl Attached {
    /// The next that is told. Cancel-safe.
    pub(super) async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }
}

/// The terminals at one listener.
type Members = listening::Members<Member>;

/// One terminal.
#[derive(Debug)]
pub struct Member {
    poi: String,
    key: Option<Key>,
    to: mpsc::Sender<Told>,
}

/// The status that the post is answered with.
fn take(members: &Members, post: &Http) -> u16 {
    if !matches!(&post.start, Start::Request { method, .. } if method == "POST") {
        return 405;
    }
    let members = members.lock().clone();
    let (message, sealed) = match Message::from_json(&post.body, None) {
        Ok(message) => (message, false),
        Err(Fault::NoKey) => {
            let keys = members.iter().filter_map(|member| member.key.as_ref());
            match keys.filter_map(|key| Message::from_json(&post.body, Some(key)).ok()).next() {
                Some(message) => (message, true),
                None => return 401,
            }
        }
        Err(_) => return 400,
    };
    let mut meant = members.iter().filter(|member| message.header.poi_id.as_ref() == Some(&member.poi));
    let Some(member) = meant.next() else { return 404 };
    let trusted = sealed || member.key.is_none();
    for text in words(&message, trusted) {
        let told = Told { service_id: message.header.service_id.clone(), text };
        // A driver that does not listen misses it: the end of a transaction tells what matters.
        member.to.try_send(told).ok();
    }
    200
}

/// What a message tells, in words.
fn words(message: &Message, trusted: bool) -> Vec<String> {
    match &message.body {
        Body::Display(display) if message.header.direction != Direction::Response => {
            display.display_output.iter().filter_map(|output| shown(output, trusted)).collect()
        }
        Body::Event(event) if trusted => vec![clean(&event.text())],
        _ => Vec::new(),
    }
}

fn shown(output: &DisplayOutput, trusted: bool) -> Option<String> {
    let content = &output.output_content;
    if let Some(named) = &content.predefined_content {
        let event = form::value(&named.reference_id, "event")?;
        return event_words(&event).map(str::to_owned);
    }
    let texts: Vec<_> = content.output_text.iter().filter_map(|run| run.text.as_deref()).collect();
    let text = clean(&texts.join(" "));
    (trusted && !text.is_empty()).then_some(text)
}

/// The events of a display notification (Adyen, "Display notifications", and `PredefinedContentHelper` of the vendor's
/// library for Java).
fn event_words(event: &str) -> Option<&'static str> {
    Some(match event {
        "TENDER_CREATED" => "the transaction has begun",
        "CARD_INSERTED" => "a card was inserted",
        "CARD_PRESENTED" => "a card was presented",
        "CARD_SWIPED" => "a card was swiped",
        "WAIT_FOR_APP_SELECTION" => "the customer chooses an application of the card",
        "APPLICATION_SELECTED" => "the application of the card was chosen",
        "ASK_SIGNATURE" => "the customer signs",
        "CHECK_SIGNATURE" => "the signature is to be checked",
        "SIGNATURE_CHECKED" => "the signature was checked",
        "WAIT_FOR_PIN" => "the customer enters the PIN",
        "PIN_ENTERED" => "the PIN was entered",
        "PRINT_RECEIPT" => "the receipt is printed",
        "RECEIPT_PRINTED" => "the receipt was printed",
        "CARD_REMOVED" => "the card was removed",
        "TENDER_FINAL" => "the transaction has ended",
        "ASK_DCC" => "the customer chooses the currency",
        "DCC_ACCEPTED" => "the customer pays in their own currency",
        "DCC_REJECTED" => "the customer pays in the shop's currency",
        "ASK_GRATUITY" => "the customer is asked for a tip",
        "GRATUITY_ENTERED" => "the tip was entered",
        "BALANCE_QUERY_STARTED" => "the balance is asked for",
        "BALANCE_QUERY_COMPLETED" => "the balance was asked for",
        "LOAD_STARTED" => "the card is loaded",
        "LOAD_COMPLETED" => "the card was loaded",
        "PROVIDE_CARD_DETAILS" => "the number of the card is typed in",
        "CARD_DETAILS_PROVIDED" => "the number of the card was typed in",
        _ => return None,
    })
}

/// Takes one post.
async fn serve(incoming: Incoming, members: Arc<Members>) {
    let Incoming { link, from } = incoming;
    let mut reader = Reader::of_requests();
    let posted = timeout(POST_WITHIN, async {
        let mut input = Vec::new();
        loop {
            match reader.next_message() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(_) => return None,
            }
            input.clear();
            link.recv(&mut input).await.ok()?;
            reader.feed(&input);
        }
    });
    let Ok(Some(post)) = posted.await else {
        tracing::debug!(?from, "what connects to the till posts no message");
        return link.close().await;
    };
    let status = take(&members, &post);
    if status != 200 {
        tracing::warn!(?from, status, "a message to the till was refused; is `poi` that of the terminal?");
    }
    // Adyen, "Accept notifications".
    let answer = response(status, if status == 200 { "[accepted]" } else { "" });
    timeout(POST_WITHIN, link.send(&answer)).await.ok();
    link.close().await;
}

/// What one terminal tells may wait so often; what does not fit is dropped.
const WAITING: usize = 64;
/// How long a post may take to come, and its answer to be taken.
const POST_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use tresen_hal::link::Connect as _;
    use tresen_hal::link::memory;

    /// As the vendor's libraries for .NET and Java are tested with.
    const CREATED: &str = r#"{"SaleToPOIRequest":{"DisplayRequest":{"DisplayOutput":[{"Device": "CashierDisplay",
"InfoQualify": "Status","OutputContent": {"OutputFormat": "MessageRef","PredefinedContent": {"ReferenceID":
"TransactionID=oLkO001517998574000&TimeStamp=2018-02-07T10%3a16%3a14.000Z&event=TENDER_CREATED"}},"ResponseRequiredFlag":
false}]},"MessageHeader":{"SaleID":"POSSystemID12345","ProtocolVersion":"3.0","MessageType":"Request",
"POIID":"V400m-324688179","ServiceID":"0207111617","MessageClass":"Device","MessageCategory":"Display",
"DeviceID":"1517998562"}}}"#;

    async fn post(dialer: &memory::Dialer, body: &str) -> String {
        let link = dialer.connect().await.expect("it listens");
        link.send(&super::super::http::request("till", body)).await.expect("open");
        let mut answer = Vec::new();
        while link.recv(&mut answer).await.is_ok() {}
        String::from_utf8(answer).expect("text")
    }

    fn options(poi: &str, key: Option<&Key>) -> Options {
        let mut options = Options::new("t", poi);
        options.key = key.cloned();
        options
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_tells_its_own_till_alone() {
        let key = Key::derive("shop", 1, "test123").expect("ASCII");
        let (dialer, port) = memory::port();
        let listener = Listener::new(Box::new(port));
        let mut meant = attach(&listener, &options("V400m-324688179", Some(&key)));
        let mut other = attach(&listener, &options("V400m-1", None));
        assert!(post(&dialer, CREATED).await.ends_with("\r\n\r\n[accepted]"));
        let told = meant.next().await;
        assert_eq!((told.service_id.as_deref(), &*told.text), (Some("0207111617"), "the transaction has begun"));
        assert!(other.told.try_recv().is_err());
        // Free text counts under the key only.
        let predefined = CREATED.find("\"PredefinedContent\"").expect("it is there");
        let ends = CREATED[predefined..].find("}}").expect("it ends") + predefined + 1;
        let text = format!(
            "{}\"OutputText\":[{{\"Text\":\"Take 4111111111111111\"}}]{}",
            &CREATED[..predefined],
            &CREATED[ends..]
        );
        assert!(post(&dialer, &text).await.contains("200 OK"));
        assert!(meant.told.try_recv().is_err(), "in clear it is not told");
        let sealed = Message::from_json(text.as_bytes(), None).expect("a message").to_json(Some((&key, [7; 16])));
        assert!(post(&dialer, &sealed).await.contains("200 OK"));
        let told = meant.next().await.text;
        assert!(told.starts_with("Take ") && !told.contains("4111111111111111"), "{told}");
        drop(meant);
        assert!(post(&dialer, CREATED).await.contains("404"), "it has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_message_is_refused_and_a_silent_caller_is_left() {
        let (dialer, port) = memory::port();
        let listener = Listener::new(Box::new(port));
        let _attached = attach(&listener, &options("V400m-324688179", None));
        assert!(post(&dialer, "{}").await.contains("400"));
        let key = Key::derive("other", 1, "test123").expect("ASCII");
        let sealed = Message::from_json(CREATED.as_bytes(), None).expect("a message").to_json(Some((&key, [7; 16])));
        assert!(post(&dialer, &sealed).await.contains("401"), "no terminal here has this key");
        let link = dialer.connect().await.expect("it listens");
        link.send(b"GET / HTTP/1.1\r\n\r\n").await.expect("open");
        let mut answer = Vec::new();
        while link.recv(&mut answer).await.is_ok() {}
        assert!(answer.starts_with(b"HTTP/1.1 405"));
        let silent = dialer.connect().await.expect("it listens");
        let begun = tokio::time::Instant::now();
        assert!(silent.recv(&mut Vec::new()).await.is_err());
        assert!(begun.elapsed() >= POST_WITHIN);
    }
}
