//! A nexo terminal over plain TCP, written from Adyen's public documentation: HTTP is text here, JSON is
//! `serde_json::Value`, keys are derived by hand.
//!
//! It answers `Diagnosis`, `Payment`, `Reversal`, `TransactionStatus`, `Display`, `Input`, `Print` and `Abort`, each connection on its own, and remembers
//! the responses to transactions by `SaleID` and `ServiceID`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
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
    /// The next answer comes byte by byte, in chunks.
    Trickle,
}

/// One entry of its ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `Payment`, `Refund`, `Reversal`.
    pub kind: String,
    /// The amount as it was written, `12.5`; that of the original for a reversal.
    pub amount: String,
    /// Its number.
    pub transaction: String,
}

/// What `PBKDF2-HMAC-SHA1` makes of the passphrase.
#[derive(Debug, Clone)]
struct Keys {
    name: String,
    hmac: Vec<u8>,
    cipher: Vec<u8>,
    iv: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    ledger: Vec<Entry>,
    requests: Vec<String>,
    faults: Vec<Fault>,
    /// What it has shown, asked and printed.
    seen: Vec<String>,
    /// Bodies of responses by category, `SaleID` and `ServiceID`.
    answered: BTreeMap<[String; 3], Value>,
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
    /// Listens as the terminal with this `POIID`, key name and passphrase.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn listen(listener: TcpListener, poi: &str, key: &str, passphrase: &str) -> io::Result<Self> {
        let at = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, keys, poi) = (state.clone(), Keys::of(key, passphrase), poi.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, keys, poi) = (shared.clone(), keys.clone(), poi.clone());
                tokio::spawn(async move {
                    connection(stream, &state, &keys, &poi).await.ok();
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

    /// The categories of the requests that came, oldest first.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state).requests.clone()
    }

    /// What it has shown, asked and printed, oldest first; runs of text are separated by `|`.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.state).seen.clone()
    }

    /// Misbehaves once.
    pub fn fault(&self, fault: Fault) {
        lock(&self.state).faults.push(fault);
    }
}

impl Keys {
    fn of(name: &str, passphrase: &str) -> Self {
        let round = |input: &[u8]| {
            let mut mac = Hmac::<Sha1>::new_from_slice(passphrase.as_bytes()).expect("any length");
            mac.update(input);
            mac.finalize().into_bytes().to_vec()
        };
        let mut derived = Vec::new();
        for block in 1..=4_u32 {
            let mut last = round(&[b"AdyenNexoV1Salt", &block.to_be_bytes()[..]].concat());
            let mut sum = last.clone();
            for _ in 1..4000 {
                last = round(&last);
                sum.iter_mut().zip(&last).for_each(|(sum, byte)| *sum ^= byte);
            }
            derived.extend(sum);
        }
        Self {
            name: name.to_owned(),
            hmac: derived[..32].to_vec(),
            cipher: derived[32..64].to_vec(),
            iv: derived[64..80].to_vec(),
        }
    }

    fn iv(&self, nonce: &[u8]) -> Vec<u8> {
        self.iv.iter().zip(nonce).map(|(a, b)| a ^ b).collect()
    }

    fn sign(&self, clear: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.hmac).expect("any length");
        mac.update(clear);
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// The clear message of `{MessageHeader, NexoBlob, SecurityTrailer}`.
    fn open(&self, sealed: &Value) -> Option<Value> {
        let trailer = &sealed["SecurityTrailer"];
        let nonce = STANDARD.decode(trailer["Nonce"].as_str()?).ok()?;
        let blob = STANDARD.decode(sealed["NexoBlob"].as_str()?).ok()?;
        let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&self.cipher, &self.iv(&nonce)).ok()?;
        let clear = cipher.decrypt_padded_vec::<Pkcs7>(&blob).ok()?;
        let named = trailer["KeyIdentifier"].as_str() == Some(&self.name) && trailer["AdyenCryptoVersion"] == json!(1);
        (named && trailer["Hmac"].as_str()? == self.sign(&clear)).then(|| serde_json::from_slice(&clear).ok())?
    }

    fn seal(&self, response: &Value, nonce: [u8; 16]) -> Value {
        let clear = response.to_string();
        let cipher = cbc::Encryptor::<Aes256>::new_from_slices(&self.cipher, &self.iv(&nonce)).expect("both lengths");
        json!({"SaleToPOIResponse": {
            "MessageHeader": response["SaleToPOIResponse"]["MessageHeader"],
            "NexoBlob": STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(clear.as_bytes())),
            "SecurityTrailer": {
                "KeyVersion": 1, "KeyIdentifier": self.name, "AdyenCryptoVersion": 1,
                "Hmac": self.sign(clear.as_bytes()), "Nonce": STANDARD.encode(nonce),
            },
        }})
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no holder of this lock panics")
}

fn take(state: &Mutex<State>, fault: Fault) -> bool {
    let mut state = lock(state);
    let found = state.faults.iter().position(|f| *f == fault);
    found.map(|at| state.faults.remove(at)).is_some()
}

async fn connection(mut stream: TcpStream, state: &Mutex<State>, keys: &Keys, poi: &str) -> io::Result<()> {
    let (head, body) = read(&mut stream).await?;
    if !head.starts_with("POST /nexo HTTP/1.1\r\n") || !head.contains("content-type: application/json\r\n") {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    }
    let outer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let sealed = &outer["SaleToPOIRequest"];
    let Some(clear) = keys.open(sealed) else {
        return stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    };
    let request = &clear["SaleToPOIRequest"];
    let header = &request["MessageHeader"];
    if sealed["MessageHeader"] != *header || header["POIID"].as_str() != Some(poi) {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    }
    let category = header["MessageCategory"].as_str().unwrap_or_default().to_owned();
    lock(state).requests.push(category.clone());
    let moves = matches!(&*category, "Payment" | "Reversal");
    let number = |header: &Value, field: &str| header[field].as_str().unwrap_or_default().to_owned();
    let (name, answer) = match &*category {
        "Abort" => return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await,
        "Diagnosis" => {
            let status = json!({"GlobalStatus": "OK", "CommunicationOKFlag": true});
            ("DiagnosisResponse", json!({"Response": {"Result": "Success"}, "POIStatus": status}))
        }
        "TransactionStatus" => {
            let about = &request["TransactionStatusRequest"]["MessageReference"];
            let key = ["MessageCategory", "SaleID", "ServiceID"].map(|field| number(about, field));
            let told = match lock(state).answered.get(&key) {
                None => json!({"Response": {"Result": "Failure", "ErrorCondition": "NotFound"}}),
                Some(body) => {
                    let mut repeated = header.clone();
                    repeated["MessageCategory"] = json!(key[0]);
                    (repeated["SaleID"], repeated["ServiceID"]) = (json!(key[1]), json!(key[2]));
                    repeated["MessageType"] = json!("Response");
                    json!({"Response": {"Result": "Success"}, "MessageReference": about,
                        "RepeatedMessageResponse": {"MessageHeader": repeated, "RepeatedResponseMessageBody": body}})
                }
            };
            ("TransactionStatusResponse", told)
        }
        "Display" => {
            let outputs = request["DisplayRequest"]["DisplayOutput"].as_array().cloned().unwrap_or_default();
            lock(state).seen.extend(outputs.iter().map(|output| texts(&output["OutputContent"])));
            let shown = |output: &Value| json!({"Device": output["Device"], "InfoQualify": output["InfoQualify"], "Response": {"Result": "Success"}});
            ("DisplayResponse", json!({"OutputResult": outputs.iter().map(shown).collect::<Vec<_>>()}))
        }
        "Print" => {
            let output = &request["PrintRequest"]["PrintOutput"];
            lock(state).seen.push(texts(&output["OutputContent"]));
            let whole = output["DocumentQualifier"] == json!("Document") && output["ResponseMode"] == json!("PrintEnd");
            let result = if whole { "Success" } else { "Failure" };
            ("PrintResponse", json!({"DocumentQualifier": "Document", "Response": {"Result": result}}))
        }
        "Input" => ("InputResponse", entered(state, &request["InputRequest"])),
        "Payment" | "Reversal" => {
            let (name, answer) = transaction(state, request);
            let key = [category.clone(), number(header, "SaleID"), number(header, "ServiceID")];
            lock(state).answered.insert(key, json!({name: answer}));
            (name, answer)
        }
        _ => return Ok(()),
    };
    if moves && take(state, Fault::LoseAnswer) {
        return stream.set_zero_linger();
    }
    let mut back = header.clone();
    back["MessageType"] = json!("Response");
    let nonce = [lock(state).requests.len() as u8; 16];
    let text = keys.seal(&json!({"SaleToPOIResponse": {"MessageHeader": back, name: answer}}), nonce).to_string();
    if take(state, Fault::Trickle) {
        let (first, rest) = text.split_at(text.len() / 2);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let whole = format!("{head}{:X}\r\n{first}\r\n{:X}\r\n{rest}\r\n0\r\n\r\n", first.len(), rest.len());
        stream.set_nodelay(true)?;
        for byte in whole.bytes() {
            stream.write_all(&[byte]).await?;
            tokio::task::yield_now().await;
        }
        return Ok(());
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", text.len());
    stream.write_all(format!("{head}{text}").as_bytes()).await
}

/// The name of the response, and what is in it.
fn transaction(state: &Mutex<State>, request: &Value) -> (&'static str, Value) {
    let declined = take(state, Fault::Decline);
    let mut state = lock(state);
    let refused = |condition: &str| {
        json!({"Response": {"Result": "Failure", "ErrorCondition": condition,
        "AdditionalResponse": "refusalReason=Nicht%20m%C3%B6glich"}})
    };
    let transaction = format!("oLkO001{:06}.8828", state.ledger.len() + 1);
    let data = json!({"POITransactionID": {"TransactionID": transaction, "TimeStamp": now()},
        "POIReconciliationID": "1000"});
    if let Some(reversal) = request.get("ReversalRequest") {
        let of = reversal["OriginalPOITransaction"]["POITransactionID"]["TransactionID"].as_str().unwrap_or_default();
        let found = state.ledger.iter().find(|entry| entry.transaction == of).map(|entry| entry.amount.clone());
        let Some(amount) = found.filter(|_| reversal["ReversalReason"] == json!("MerchantCancel")) else {
            return ("ReversalResponse", refused("NotFound"));
        };
        state.ledger.push(Entry { kind: "Reversal".into(), amount, transaction });
        return ("ReversalResponse", json!({"Response": {"Result": "Success"}, "POIData": data}));
    }
    let payment = &request["PaymentRequest"];
    let asked = &payment["PaymentTransaction"]["AmountsReq"];
    let refund = payment["PaymentData"]["PaymentType"] == json!("Refund");
    if declined || asked["Currency"] != json!("EUR") {
        return ("PaymentResponse", refused("Refusal"));
    }
    let kind = if refund { "Refund" } else { "Payment" };
    state.ledger.push(Entry { kind: kind.into(), amount: asked["RequestedAmount"].to_string(), transaction });
    let line = |text: &str| json!({"Text": text, "EndOfLineFlag": true, "CharacterStyle": "Bold"});
    let lines = [line("key=header1&name=K%C3%A4se%20%26%20Brot"), line("name=Card&value=5413330089099999&key=pan")];
    let receipt = json!({"DocumentQualifier": "CustomerReceipt", "RequiredSignatureFlag": false,
        "OutputContent": {"OutputFormat": "Text", "OutputText": lines}});
    let answer = json!({
        "Response": {"Result": "Success", "AdditionalResponse": "cardBin=541333&tid=1"},
        "SaleData": {"SaleTransactionID": payment["SaleData"]["SaleTransactionID"]},
        "POIData": data,
        "PaymentReceipt": [receipt],
        "PaymentResult": {
            "OnlineFlag": true,
            "PaymentAcquirerData": {"ApprovalCode": "123456", "MerchantID": "Merchant", "AcquirerPOIID": "V400m-1",
                "AcquirerTransactionID": {"TransactionID": "8828", "TimeStamp": now()}},
            "PaymentInstrumentData": {"PaymentInstrumentType": "Card", "CardData": {"PaymentBrand": "mc",
                "MaskedPan": "541333 **** 9999", "EntryMode": ["Contactless"],
                "SensitiveCardData": {"PAN": "5413330089099999", "CardSeqNumb": "33", "ExpiryDate": "0228"}}},
            "AmountsResp": {"AuthorizedAmount": asked["RequestedAmount"], "Currency": "EUR"},
        },
    });
    ("PaymentResponse", answer)
}

/// The texts of a content, with its `ReferenceID` before them.
fn texts(content: &Value) -> String {
    let named = content["PredefinedContent"]["ReferenceID"].as_str().into_iter();
    let runs = content["OutputText"].as_array().into_iter().flatten().filter_map(|run| run["Text"].as_str());
    named.chain(runs).collect::<Vec<_>>().join("|")
}

/// What the customer enters: yes, `0470`, or the second of the choices.
fn entered(state: &Mutex<State>, request: &Value) -> Value {
    let (output, wanted) = (&request["DisplayOutput"], &request["InputData"]);
    lock(state).seen.push(texts(&output["OutputContent"]));
    let command = wanted["InputCommand"].as_str().unwrap_or_default();
    let count = output["MenuEntry"].as_array().map_or(0, Vec::len);
    let in_time = wanted["MaxInputTime"].as_u64().is_some_and(|seconds| seconds > 0);
    let entered = match command {
        "GetConfirmation" if in_time => json!({"InputCommand": command, "ConfirmedFlag": true}),
        "DigitString" if in_time => json!({"InputCommand": command, "DigitInput": "0470"}),
        "GetMenuEntry" if in_time && count > 1 => {
            let marks: Vec<u8> = (0..count).map(|at| u8::from(at == 1)).collect();
            json!({"InputCommand": command, "MenuEntryNumber": marks})
        }
        _ => {
            let refused = json!({"Result": "Failure", "ErrorCondition": "Cancel"});
            let result = json!({"Device": "CustomerInput", "InfoQualify": "Input", "Response": refused});
            return json!({"InputResult": result});
        }
    };
    let success = json!({"Result": "Success"});
    json!({
        "InputResult": {"Device": "CustomerInput", "InfoQualify": "Input", "Response": success, "Input": entered},
        "OutputResult": {"Device": "CustomerDisplay", "InfoQualify": "Display", "Response": success},
    })
}

/// The time as terminals write it.
fn now() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Days to a date (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.000Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// Head and body of a request.
async fn read(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length =
        head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    Ok((head, body))
}
