//! WebSocket frames by hand, from RFC 6455: no code shared with the server or the client.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Opcodes: RFC 6455, section 5.2.
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// A frame as a client sends it: masked, and the last of its message.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    raw(0x80 | opcode, true, payload)
}

/// A frame with this first byte.
pub(crate) fn raw(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    let bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => bytes.push(bit | len as u8),
        len @ 126..=0xffff => {
            bytes.push(bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    if masked {
        bytes.extend(mask);
        bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]));
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// The first frame in `bytes`: its first byte, its payload, and how many bytes it has. `None` if it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (len, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        len => (usize::from(len), 2),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        mask = bytes.get(at..at + 4)?.try_into().ok()?;
        at += 4;
    }
    let payload = bytes.get(at..at + len)?;
    let plain = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
    Some((first, plain, at + len))
}

/// Where the head of an HTTP message ends.
pub(crate) fn head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// A client written by hand.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    heard: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Upgrades a stream: RFC 6455, section 4.1, with the nonce of section 1.3.
    pub(crate) async fn upgrade(mut stream: S, extra: &str) -> Self {
        let request = format!(
            "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:7480\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it listens");
        let mut heard = Vec::new();
        let end = loop {
            if let Some(end) = head(&heard) {
                break end;
            }
            assert_ne!(stream.read_buf(&mut heard).await.expect("readable"), 0, "{}", String::from_utf8_lossy(&heard));
        };
        let answer = String::from_utf8(heard.drain(..end).collect()).expect("text");
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        // The accept value that section 1.3 names for this nonce.
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        Self { stream, heard }
    }

    /// Upgrades, and is let in with `token`.
    pub(crate) async fn welcomed(stream: S, token: &str) -> Self {
        let mut peer = Self::upgrade(stream, "").await;
        peer.text(&format!("{{\"hello\":{{\"protocol\":1,\"token\":\"{token}\"}}}}")).await;
        let welcome = peer.json().await;
        assert_eq!(welcome["protocol"], 1, "{welcome}");
        peer
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.bytes(&frame(TEXT, text.as_bytes())).await;
    }

    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("it listens");
    }

    /// The next frame but pings; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            match self.any().await? {
                (PING, payload) => _ = self.stream.write_all(&frame(PONG, &payload)).await,
                frame => return Some(frame),
            }
        }
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn any(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, payload, len)) = parse(&self.heard) {
                self.heard.drain(..len);
                assert_eq!(first & 0xf0, 0x80, "whole messages, no extensions");
                return Some((first & 0x0f, payload));
            }
            match self.stream.read_buf(&mut self.heard).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message.
    pub(crate) async fn json(&mut self) -> serde_json::Value {
        let (opcode, payload) = self.next().await.expect("a message");
        assert_eq!(opcode, TEXT, "{payload:?}");
        serde_json::from_slice(&payload).expect("JSON")
    }

    /// The last message, an error, and the code with which the connection is closed.
    pub(crate) async fn ended(&mut self) -> (serde_json::Value, u16) {
        let error = self.json().await;
        let (opcode, payload) = self.next().await.expect("a close frame");
        assert_eq!(opcode, CLOSE);
        (error["error"].clone(), u16::from_be_bytes([payload[0], payload[1]]))
    }
}
