//! Messages as RFC 9112 shows them, and what makes their length doubtful.

use super::*;

/// All messages of `bytes`, fed in pieces of `size`, then the end of the connection.
fn read(mut reader: Reader, bytes: &[u8], size: usize) -> Result<Vec<Message>, Invalid> {
    let mut all = Vec::new();
    for piece in bytes.chunks(size) {
        reader.feed(piece);
        while let Some(message) = reader.next_message()? {
            all.push(message);
        }
    }
    all.extend(reader.end()?);
    Ok(all)
}

fn responses(text: &str) -> Result<Vec<(u16, String)>, Invalid> {
    let whole = read(Reader::of_responses(), text.as_bytes(), usize::MAX);
    for size in 1..text.len().clamp(1, 80) {
        assert_eq!(read(Reader::of_responses(), text.as_bytes(), size), whole, "in pieces of {size}: {text}");
    }
    let plain = |message: Message| {
        let Start::Response(status) = message.start else { panic!("{message:?}") };
        (status, String::from_utf8(message.body).expect("text"))
    };
    whole.map(|all| all.into_iter().map(plain).collect())
}

fn one(status: u16, body: &str) -> Result<Vec<(u16, String)>, Invalid> {
    Ok(vec![(status, body.to_owned())])
}

#[test]
fn bodies_come_by_length_in_chunks_and_until_the_end() {
    assert_eq!(responses("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), one(200, "{}"));
    assert_eq!(responses("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-length:  2 \r\n\r\n{}"), one(200, "{}"));
    // RFC 9112, section 7.1: an extension and a trailer.
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4;a=b\r\nWiki\r\n6\r\npedia \r\nC\r\nin \r\n\r\nchunk\r\n0\r\n\
                   Expires: never\r\n\r\n";
    assert_eq!(responses(chunked), one(200, "Wikipedia in \r\n\r\nchunk"));
    assert_eq!(responses("HTTP/1.0 200\r\nContent-Type: application/json\r\n\r\n{\"a\":1}"), one(200, "{\"a\":1}"));
    assert_eq!(responses("HTTP/1.1 204 No Content\r\n\r\n"), one(204, ""));
    assert_eq!(
        responses("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        one(401, "")
    );
    assert_eq!(responses(""), Ok(vec![]));
}

#[test]
fn what_has_no_clear_length_is_refused() {
    for (text, why) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", Invalid::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}", Invalid::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}", Invalid::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}", Invalid::Length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 262145\r\n\r\n{}", Invalid::TooLong),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            Invalid::Length,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", Invalid::Length),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", Invalid::Length),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n{}", Invalid::TooLong),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", Invalid::Cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", Invalid::Cut),
        ("HTTP/1.1 200 OK\r\nContent-Le", Invalid::Cut),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Invalid::NotHttp),
        ("SSH-2.0-OpenSSH_9.2\r\n", Invalid::NotHttp),
        ("\x06\x0f\x00", Invalid::NotHttp),
    ] {
        assert_eq!(responses(text), Err(why), "{text}");
    }
}

#[test]
fn a_flood_is_bounded() {
    let mut reader = Reader::of_responses();
    reader.feed(b"HTTP/1.1 200 OK\r\nx: ");
    for _ in 0..1000 {
        reader.feed(&[b'x'; 1000]);
        reader.next_message().ok();
    }
    assert_eq!(reader.next_message(), Err(Invalid::TooLong));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(65));
    assert_eq!(responses(&many), Err(Invalid::TooLong));
    let mut reader = Reader::of_responses();
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\n");
    for _ in 0..1000 {
        reader.feed(&[b'x'; 1000]);
        reader.next_message().ok();
    }
    assert_eq!(reader.end(), Err(Invalid::TooLong));
    assert!(reader.buffer.len() <= MAX_HEAD + MAX_BODY + 1000);
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let text = "POST /nexo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n\r\n";
    for size in 1..text.len() {
        let all = read(Reader::of_requests(), text.as_bytes(), size).expect("two");
        let starts: Vec<_> = all.iter().map(|message| (message.start.clone(), message.body.len())).collect();
        let start = |method: &str, target: &str| Start::Request { method: method.into(), target: target.into() };
        assert_eq!(starts, [(start("POST", "/nexo"), 2), (start("GET", "/"), 0)]);
    }
}

#[test]
fn a_request_is_written_as_the_protocol_wants_it() {
    let bytes = request("10.0.0.9:8443", "{\"ä\":1}");
    let expected = "POST /nexo HTTP/1.1\r\nhost: 10.0.0.9:8443\r\ncontent-type: application/json\r\n\
                    accept: application/json\r\nconnection: close\r\ncontent-length: 8\r\n\r\n{\"ä\":1}";
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}
