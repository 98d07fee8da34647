//! HTTP/1.1 (RFC 9112), as much of it as one request with a JSON body and its response need. Sans-IO; heads are parsed
//! by `httparse`.
//!
//! Bodies come by `Content-Length`, in chunks, or until the end of the connection. A head that says two things about the
//! length of its body is refused. Left out: compression, redirects, connections that stay open.

use std::fmt;

/// Bytes of a head at most.
pub const MAX_HEAD: usize = 16 * 1024;
/// Bytes of a body at most. The largest known are receipts and signatures, some tens of KiB.
pub const MAX_BODY: usize = 256 * 1024;
/// Fields of a head at most.
const MAX_FIELDS: usize = 64;

/// A request to send: `POST /nexo`. `host` is that of the address, with its port.
pub fn request(host: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /nexo HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\naccept: application/json\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A response to send.
pub fn response(status: u16, body: &str) -> Vec<u8> {
    let (reason, length) = (if status == 200 { "OK" } else { "Error" }, body.len());
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\
         \r\n\r\n{body}"
    )
    .into_bytes()
}

/// A whole message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// What its first line says.
    pub start: Start,
    /// Its body; empty if there is none.
    pub body: Vec<u8>,
}

/// The first line of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Of a request.
    Request {
        /// `POST`.
        method: String,
        /// `/nexo`.
        target: String,
    },
    /// Of a response: its status.
    Response(u16),
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// Something else than HTTP/1.1.
    NotHttp,
    /// The head or the body is longer than any of this protocol.
    TooLong,
    /// The length of the body is not clear.
    Length,
    /// The connection ended before the message did.
    Cut,
}

/// Makes messages of a stream.
#[derive(Debug)]
pub struct Reader {
    responses: bool,
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Head,
    Body { start: Start, framing: Framing, body: Vec<u8> },
    Broken(Invalid),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes.
    Length(usize),
    Chunked,
    /// Until the connection ends.
    Rest,
}

impl Reader {
    /// Reads responses.
    pub fn of_responses() -> Self {
        Self { responses: true, buffer: Vec::new(), state: State::Head }
    }

    /// Reads requests.
    pub fn of_requests() -> Self {
        Self { responses: false, buffer: Vec::new(), state: State::Head }
    }

    /// Takes bytes, split anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        // What follows a fault, or would exceed every bound, is not kept.
        if !matches!(self.state, State::Broken(_)) && self.buffer.len() <= MAX_HEAD + MAX_BODY {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && matches!(self.state, State::Head)
    }

    /// The next message, if it is complete.
    ///
    /// # Errors
    /// This is no message; nothing more comes of this reader.
    pub fn next_message(&mut self) -> Result<Option<Message>, Invalid> {
        self.step().inspect_err(|why| self.state = State::Broken(*why))
    }

    /// The connection has ended: the message that ends with it.
    ///
    /// # Errors
    /// A message was not complete.
    pub fn end(&mut self) -> Result<Option<Message>, Invalid> {
        if let Some(message) = self.next_message()? {
            return Ok(Some(message));
        }
        match std::mem::replace(&mut self.state, State::Head) {
            State::Head if self.buffer.is_empty() => Ok(None),
            State::Body { start, framing: Framing::Rest, body } => Ok(Some(Message { start, body })),
            State::Broken(why) => Err(why),
            _ => Err(Invalid::Cut),
        }
    }

    fn step(&mut self) -> Result<Option<Message>, Invalid> {
        loop {
            match &mut self.state {
                State::Broken(why) => return Err(*why),
                State::Head => {
                    let Some((length, start, framing)) = head(&self.buffer, self.responses)? else { return Ok(None) };
                    self.buffer.drain(..length);
                    match start {
                        // "Continue" and the like come before the response.
                        Start::Response(100 | 102..=199) => {}
                        Start::Response(101) => return Err(Invalid::NotHttp),
                        start => self.state = State::Body { start, framing, body: Vec::new() },
                    }
                }
                State::Body { framing, body, .. } => {
                    if !fill(&mut self.buffer, *framing, body)? {
                        return Ok(None);
                    }
                    let State::Body { start, body, .. } = std::mem::replace(&mut self.state, State::Head) else {
                        return Ok(None);
                    };
                    return Ok(Some(Message { start, body }));
                }
            }
        }
    }
}

/// Length and meaning of a head; `None` if it is not complete.
fn head(bytes: &[u8], of_response: bool) -> Result<Option<(usize, Start, Framing)>, Invalid> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (parsed, start, fields) = if of_response {
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(bytes);
        (parsed, response.code.map(Start::Response), response.headers)
    } else {
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(bytes);
        let start = request.method.zip(request.path);
        let start = start.map(|(method, target)| Start::Request { method: method.into(), target: target.into() });
        (parsed, start, request.headers)
    };
    match (parsed, start) {
        (Ok(httparse::Status::Complete(length)), Some(start)) if length <= MAX_HEAD => {
            let framing = framing(fields, &start)?;
            Ok(Some((length, start, framing)))
        }
        (Ok(httparse::Status::Partial), _) if bytes.len() <= MAX_HEAD => Ok(None),
        (Ok(_), _) | (Err(httparse::Error::TooManyHeaders), _) => Err(Invalid::TooLong),
        (Err(_), _) => Err(Invalid::NotHttp),
    }
}

/// How long the body is (RFC 9112, section 6.3).
fn framing(fields: &[httparse::Header<'_>], start: &Start) -> Result<Framing, Invalid> {
    let named = |name: &'static str| {
        fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.trim_ascii())
    };
    let mut length = None;
    for value in named("content-length") {
        let digits = !value.is_empty() && value.len() <= 10 && value.iter().all(u8::is_ascii_digit);
        let text = std::str::from_utf8(value).ok().filter(|_| digits);
        let this: usize = text.and_then(|text| text.parse().ok()).ok_or(Invalid::Length)?;
        if length.is_some_and(|length| length != this) {
            return Err(Invalid::Length);
        }
        length = Some(this);
    }
    let mut coding = named("transfer-encoding");
    match (coding.next(), coding.next(), length) {
        (Some(coding), None, None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (Some(_), ..) => Err(Invalid::Length),
        (None, _, Some(length)) if length > MAX_BODY => Err(Invalid::TooLong),
        (None, ..) if matches!(start, Start::Response(204 | 304)) => Ok(Framing::Length(0)),
        (None, _, Some(length)) => Ok(Framing::Length(length)),
        (None, _, None) if matches!(start, Start::Response(_)) => Ok(Framing::Rest),
        (None, _, None) => Ok(Framing::Length(0)),
    }
}

/// Moves what belongs to the body; whether it is complete.
fn fill(buffer: &mut Vec<u8>, framing: Framing, body: &mut Vec<u8>) -> Result<bool, Invalid> {
    match framing {
        Framing::Length(length) => {
            let missing = length - body.len();
            body.extend(buffer.drain(..missing.min(buffer.len())));
            Ok(body.len() == length)
        }
        Framing::Rest => {
            body.append(buffer);
            if body.len() > MAX_BODY { Err(Invalid::TooLong) } else { Ok(false) }
        }
        Framing::Chunked => loop {
            match httparse::parse_chunk_size(buffer) {
                Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => return Ok(false),
                Ok(httparse::Status::Complete((at, 0))) => return trailers(buffer, at),
                Ok(httparse::Status::Complete((at, size))) => {
                    let size = usize::try_from(size).ok().filter(|size| body.len() + size <= MAX_BODY);
                    let size = size.ok_or(Invalid::TooLong)?;
                    let Some(end) = buffer.get(at + size..at + size + 2) else { return Ok(false) };
                    if end != b"\r\n" {
                        return Err(Invalid::Length);
                    }
                    body.extend_from_slice(&buffer[at..at + size]);
                    buffer.drain(..at + size + 2);
                }
                Ok(_) | Err(_) => return Err(Invalid::Length),
            }
        },
    }
}

/// What follows the last chunk at `at`; whether it is complete.
fn trailers(buffer: &mut Vec<u8>, at: usize) -> Result<bool, Invalid> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let length = match httparse::parse_headers(&buffer[at..], &mut fields) {
        Ok(httparse::Status::Complete((length, _))) => length,
        Ok(httparse::Status::Partial) if buffer.len() <= MAX_HEAD => return Ok(false),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(Invalid::TooLong),
        Err(_) => return Err(Invalid::NotHttp),
    };
    buffer.drain(..at + length);
    Ok(true)
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({:?}, {} bytes)", self.start, self.body.len())
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "what answers there speaks no HTTP/1.1",
            Self::TooLong => "the terminal's answer is too long",
            Self::Length => "the length of the terminal's answer is not clear",
            Self::Cut => "the connection ended in the middle of the terminal's answer",
        })
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
