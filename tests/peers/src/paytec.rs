//! A PayTec terminal and a till, written by hand from the shapes of the vendor's public library: JSON is
//! `serde_json::Value`, serial frames are cut by hand.
//!
//! The terminal is a [`Peer`]: it knows shifts, purchase, credit and reversal, waits for the confirmation of what it
//! approved, and keeps a ledger. The till is a connection that says one thing and waits for another.

use std::collections::VecDeque;
use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Do, Peer};

/// One entry of the terminal's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `TrxSeqCnt`.
    pub number: i64,
    /// `TrxFunction`: 8000h purchase, 800h credit, 20h reversal.
    pub function: i64,
    /// Minor units; of a reversal, those of the original.
    pub amount: i64,
    /// `approved`, `confirmed`, `rolled back`, `declined`, `undone`, `reversed`.
    pub state: &'static str,
}

/// How the terminal misbehaves, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The next transaction is declined, with numbers as texts.
    Decline,
    /// The link ends before the next answer to a transaction.
    LoseResponse,
    /// The link ends before the next answer to a confirmation, which has been taken.
    LoseAcknowledgement,
    /// The link ends before the next transaction is taken.
    LoseRequest,
    /// The next approval names ten centimes less.
    Less,
}

/// How it misbehaves on a serial line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// The till's frame is said to be damaged.
    Refuse,
    /// The till's frame is taken, and not acknowledged.
    Deaf,
}

/// A terminal.
#[derive(Debug)]
pub struct Terminal {
    serial: bool,
    /// Bytes that are no whole line or frame yet.
    input: Vec<u8>,
    /// Payload of frames that is no whole line yet.
    line: Vec<u8>,
    /// The frame that came last.
    last: Vec<u8>,
    output: VecDeque<Vec<u8>>,
    hang_up: bool,
    sequence: u8,
    /// Messages that the till has sent, heartbeats left out.
    pub requests: Vec<Value>,
    /// All transactions.
    pub ledger: Vec<Entry>,
    /// What goes wrong next.
    pub faults: Vec<Fault>,
    /// After so many frames of the till, the next one suffers this.
    pub noise: Option<(usize, Noise)>,
    shift: i64,
    open: bool,
    /// The approval that waits for its confirmation, and until when.
    waits: Option<(usize, u64)>,
    /// How long it waits, in milliseconds.
    pub window: u64,
}

impl Terminal {
    /// A terminal on a network, or on a serial line.
    pub fn new(serial: bool) -> Self {
        Self {
            serial,
            input: Vec::new(),
            line: Vec::new(),
            last: Vec::new(),
            output: VecDeque::new(),
            hang_up: false,
            sequence: 0,
            requests: Vec::new(),
            ledger: Vec::new(),
            faults: Vec::new(),
            noise: None,
            shift: 7,
            open: false,
            waits: None,
            window: 2_000,
        }
    }

    /// How many messages of this name the till has sent.
    pub fn requested(&self, name: &str) -> usize {
        self.requests.iter().filter(|request| request.get(name).is_some()).count()
    }

    fn once(&mut self, fault: Fault) -> bool {
        let found = self.faults.iter().position(|planned| *planned == fault);
        found.map(|at| self.faults.remove(at)).is_some()
    }

    fn say(&mut self, value: &Value) {
        let line = format!("{value}\n").into_bytes();
        if !self.serial {
            return self.output.push_back(line);
        }
        self.sequence = self.sequence.wrapping_add(1);
        let mut content = vec![self.sequence, 0x91];
        content.extend(line);
        let sum = check(&content);
        content.extend([(sum >> 8) as u8, sum as u8]);
        let mut frame = vec![0x10, 0x00];
        for byte in content {
            frame.push(byte);
            if byte == 0x10 {
                frame.push(0x10);
            }
        }
        frame.extend([0x10, 0xff]);
        self.output.push_back(frame);
    }

    /// Takes frames out of `input`, acknowledges them, and puts their payload behind `line`.
    fn frames(&mut self) {
        loop {
            let Some(start) = find(&self.input, &[0x10, 0x00]) else { return };
            // The end is 10 FF, whose 10 is not doubled.
            let mut at = start + 2;
            let mut content = Vec::new();
            loop {
                match self.input.get(at..at + 2) {
                    Some([0x10, 0x10]) => {
                        content.push(0x10);
                        at += 2;
                    }
                    Some([0x10, 0xff]) => break,
                    Some([0x10, _]) => at += 2,
                    Some([byte, _]) => {
                        content.push(*byte);
                        at += 1;
                    }
                    _ => return,
                }
            }
            self.input.drain(..at + 2);
            let (body, sum) = content.split_at(content.len() - 2);
            let whole = check(body) == u16::from(sum[0]) << 8 | u16::from(sum[1]) && body[1] == 0x11;
            let noise = match &mut self.noise {
                Some((0, _)) => self.noise.take().map(|(_, noise)| noise),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            };
            if !whole || noise == Some(Noise::Refuse) {
                self.output.push_back(vec![0x10, 0x12]);
                continue;
            }
            if noise != Some(Noise::Deaf) {
                self.output.push_back(vec![0x10, 0x11]);
            }
            // A frame that is repeated is dropped.
            if body != self.last {
                self.line.extend_from_slice(&body[2..]);
                self.last = body.to_vec();
            }
        }
    }

    fn status(&mut self, bits: i64) {
        self.say(&json!({"StatusResponse": {"TrmStatus": bits, "TrmLng": "de", "ESigInd": 0}}));
    }

    fn take(&mut self, request: &Value, now: u64) {
        let (name, body) = match request.as_object().and_then(|object| object.iter().next()) {
            Some((name, body)) => (name.as_str(), body),
            None => return self.hang_up = true,
        };
        match name {
            "HeartbeatRequest" => return self.say(&json!({"HeartbeatResponse": {}})),
            "HeartbeatResponse" => return,
            _ => self.requests.push(request.clone()),
        }
        match name {
            "ConnectRequest" => self.say(&json!({"ConnectResponse": {
                "TrmLng": "de", "IFDSerialNum": "PEER0001", "SoftwareVersion": "191000", "PeSeqCnt": "5",
                "ActSeqCnt": self.shift, "TrmID": "TERM1234"
            }})),
            "StatusRequest" => {
                let busy = if self.waits.is_some() { 4 } else { 0 };
                self.status(i64::from(self.open) + busy);
            }
            "ActivationRequest" => {
                if !self.open {
                    (self.open, self.shift) = (true, self.shift + 1);
                }
                let last = self.ledger.last().map_or(100, |entry| entry.number);
                self.say(&json!({"ActivationResponse": {
                    "TrmID": "TERM1234", "TrmType": 22, "TrmLng": "de", "PeSeqCnt": 5, "ActSeqCnt": self.shift,
                    "TrxSeqCnt": last.to_string(), "TrxFunctions": 0x8820, "Currencies": [756],
                    "Brands": ["Mastercard"], "MctNameLoc": "Laden;Bern"
                }}));
            }
            "TransactionRequest" => self.transaction(body, now),
            "TransactionConfirmationRequest" => self.confirmation(body),
            "AbortTransactionRequest" => self.say(&json!({"AbortTransactionResponse": {}})),
            _ => self.say(&json!({"ErrorNotification": {"ErrorCode": -3, "ErrorDescription": "unexpected message"}})),
        }
    }

    fn transaction(&mut self, body: &Value, now: u64) {
        if self.once(Fault::LoseRequest) {
            return self.hang_up = true;
        }
        let function = body["TrxFunction"].as_i64().expect("a function");
        let number = self.ledger.last().map_or(101, |entry| entry.number + 1);
        let original = body["TrxSeqCntOri"].as_i64();
        let of = self.ledger.iter().find(|entry| Some(entry.number) == original).map(|entry| entry.amount);
        let amount = body["AmtAuth"].as_i64().or(of).expect("an amount");
        self.status(5);
        if self.once(Fault::Decline) {
            self.ledger.push(Entry { number, function, amount, state: "declined" });
            self.say(
                &json!({"TransactionResponse": {"TrxResult": "1", "TrxResultExtended": "1002200", "AuthReslt": "0",
                "TrmID": "TERM1234", "TrxSeqCnt": number.to_string(), "CardholderText": "ABGELEHNT"}}),
            );
            return self.status(1);
        }
        self.ledger.push(Entry { number, function, amount, state: "approved" });
        self.waits = Some((self.ledger.len() - 1, now + self.window));
        if self.once(Fault::LoseResponse) {
            return self.hang_up = true;
        }
        let told = if self.once(Fault::Less) { amount - 10 } else { amount };
        let mut response = json!({"TrxResult": 0, "TrxResultExtended": 0, "TrmID": "TERM1234", "TrxSeqCnt": number,
            "TrxFunction": function, "TrxCurrC": 756, "AmtAuth": told, "TrxDate": "260512", "TrxTime": "183000",
            "AcqID": 7, "AuthC": "00Z42", "TrxRefNum": "81000000042", "Brand": "Mastercard",
            "AppPANPrtAttendant": "541333XXXXXX0044", "AppPANEnc": "AAECAwQ=", "Track2Data": "5413330089010044=2512",
            "POSEntryMode": 97, "CVMResults": "HwMC"});
        if let Some(original) = original {
            response["TrxSeqCntOri"] = json!(original);
        }
        self.say(&json!({ "TransactionResponse": response }));
    }

    fn confirmation(&mut self, body: &Value) {
        let Some((at, _)) = self.waits.take() else {
            return self.say(&json!({"ErrorNotification": {"ErrorCode": -5, "ErrorDescription": "no transaction"}}));
        };
        let keep = body["Confirm"] == 1;
        self.ledger[at].state = if keep { "confirmed" } else { "rolled back" };
        if keep && self.ledger[at].function == 0x20 {
            let amount = self.ledger[at].amount;
            let of =
                self.ledger.iter_mut().rfind(|e| e.function == 0x8000 && e.amount == amount && e.state == "confirmed");
            of.expect("it was confirmed").state = "reversed";
        }
        if self.once(Fault::LoseAcknowledgement) {
            return self.hang_up = true;
        }
        let answer = if keep { json!({}) } else { json!({"MsgType": 1, "AuthReslt": 0, "AttendantText": "ROLLBACK"}) };
        self.say(&json!({ "TransactionConfirmationResponse": answer }));
        if keep {
            for (kind, whose) in [(1, "HAENDLER"), (2, "KUNDE")] {
                let text = format!("** {whose} **\nMastercard\n541333XXXXXX0044\nTotal-EFT CHF\n");
                self.say(&json!({"ReceiptResponse": {"ReceiptType": kind, "ReceiptFlags": 2, "ReceiptText": text}}));
            }
        }
        self.status(1);
    }
}

impl Peer for Terminal {
    fn connected(&mut self, _: u64) {
        self.input.clear();
        self.line.clear();
        self.last.clear();
        self.output.clear();
        (self.hang_up, self.sequence) = (false, 0);
    }

    fn received(&mut self, bytes: &[u8], now: u64) {
        self.input.extend_from_slice(bytes);
        if self.serial {
            self.frames();
        } else {
            self.line.append(&mut self.input);
        }
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(request) => self.take(&request, now),
                Err(_) => self.hang_up = true,
            }
        }
    }

    fn lost(&mut self, _: u64) {}

    fn next(&mut self, now: u64) -> Do {
        if let Some((at, until)) = self.waits
            && now >= until
        {
            self.waits = None;
            self.ledger[at].state = "undone";
        }
        match (self.output.pop_front(), self.waits) {
            (Some(bytes), _) => Do::Send(bytes),
            (None, _) if self.hang_up => Do::HangUp,
            (None, Some((_, until))) => Do::Wait(until),
            (None, None) => Do::Idle,
        }
    }
}

/// A till over TCP.
#[derive(Debug)]
pub struct Till {
    stream: TcpStream,
    input: Vec<u8>,
    /// Everything that the terminal has said.
    pub heard: Vec<Value>,
}

impl Till {
    /// A till at the other end of `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, input: Vec::new(), heard: Vec::new() }
    }

    /// Says one message.
    ///
    /// # Errors
    /// The link is lost.
    pub async fn say(&mut self, message: Value) -> io::Result<()> {
        self.stream.write_all(format!("{message}\n").as_bytes()).await
    }

    /// Waits for a message of this name; returns its content. What comes before it is in `heard`.
    ///
    /// # Errors
    /// The link is lost, or what came is no JSON.
    pub async fn hear(&mut self, name: &str) -> io::Result<Value> {
        loop {
            while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let value: Value = serde_json::from_slice(&line)?;
                let content = value.get(name).cloned();
                self.heard.push(value);
                if let Some(content) = content {
                    return Ok(content);
                }
            }
            let mut chunk = [0; 1024];
            let length = self.stream.read(&mut chunk).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&chunk[..length]);
        }
    }

    /// Says one message and waits for another.
    ///
    /// # Errors
    /// The link is lost, or what came is no JSON.
    pub async fn ask(&mut self, message: Value, answer: &str) -> io::Result<Value> {
        self.say(message).await?;
        self.hear(answer).await
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// CRC-16/XMODEM, bit by bit.
fn check(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for byte in bytes {
        for bit in (0..8).rev() {
            let carry = (sum >> 15 & 1) ^ u32::from(byte >> bit & 1);
            sum = (sum << 1 & 0xffff) ^ if carry == 1 { 0x1021 } else { 0 };
        }
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_that_of_the_catalogue() {
        assert_eq!(check(b"123456789"), 0x31c3);
    }
}
