//! The vendor's npm library `@adyen/api-library` beside our nexo: it opens what we seal, we open what it seals, and it is
//! a till at our simulated terminal, over TLS. `.ci/nexo` installs it and names its folder in `TRESEN_NEXO_NPM`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tresen::payment::{Host, MemoryJournal, Payment, Request};
use tresen::{Amount, Context, Drivers, Terminals};
use tresen_hal::link::tls::{Identity, listen};
use tresen_hal::sim::Shared;
use tresen_hal::{Address, Clock as _, Kind, SystemClock};
use tresen_payment::nexo::crypto::{Key, Sealed, Trailer};
use tresen_payment::nexo::sim::{Misbehaviour, Profile, Server, Simulator, State, over};

/// A script of theirs with what stands beside it.
fn node(script: &str) -> Command {
    let place = std::env::var("TRESEN_NEXO_NPM").expect("TRESEN_NEXO_NPM: run .ci/nexo");
    let mut node = Command::new("node");
    node.arg(std::path::Path::new(&place).join(script)).current_dir(place).stdin(Stdio::piped()).stdout(Stdio::piped());
    node
}

#[test]
fn each_opens_what_the_other_has_sealed() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let passphrases = "[ -~]{1,64}";
    let texts = prop_oneof![".{0,300}", "\\PC{0,4000}", Just(String::new()), "[\\x00-\\x1f\"\\\\]{0,40}"];
    let mut cases: Vec<(Key, String, String)> = Vec::new();
    let mut input = String::new();
    let (mut passphrase, mut name, mut version) = (String::new(), String::new(), 0);
    for number in 0..300_u32 {
        let (clear, text) = (&texts, &texts).new_tree(&mut runner).expect("texts").current();
        let nonce = any::<[u8; 16]>().new_tree(&mut runner).expect("a nonce").current();
        // Deriving a key takes long without optimisation.
        if number % 10 == 0 {
            passphrase = passphrases.new_tree(&mut runner).expect("a passphrase").current();
            (name, version) = (format!("key {number}"), number % 7);
        }
        let last = cases.last().map(|(key, ..)| key.clone()).filter(|_| number % 10 > 0);
        let key = last.unwrap_or_else(|| Key::derive(&*name, version, &passphrase).expect("ASCII"));
        let Sealed { blob, trailer } = key.seal(clear.as_bytes(), nonce);
        let theirs =
            json!({"Passphrase": passphrase, "KeyIdentifier": name, "KeyVersion": version, "AdyenCryptoVersion": 1});
        let sealed = json!({"NexoBlob": blob, "SecurityTrailer": trailer});
        let line = json!({"key": theirs, "sealed": sealed, "header": {"SaleID": "Käse"}, "text": text});
        input.push_str(&format!("{line}\n"));
        cases.push((key, clear, text));
    }
    let mut script = node("crypto.mjs").spawn().expect("node runs");
    let mut to = script.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || to.write_all(input.as_bytes()));
    let output = script.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it read everything");
    assert!(output.status.success());
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(lines.len(), cases.len());
    for (line, (key, clear, text)) in lines.iter().zip(&cases) {
        assert_eq!(line["opened"].as_str(), Some(&**clear), "they open ours");
        let trailer: Trailer = serde_json::from_value(line["sealed"]["SecurityTrailer"].clone()).expect("a trailer");
        let blob = line["sealed"]["NexoBlob"].as_str().expect("a blob").to_owned();
        assert_eq!(key.open(&Sealed { blob, trailer }).as_deref(), Ok(text.as_bytes()), "we open theirs");
    }
}

/// A simulated terminal with a certificate as the vendor's have one.
struct Served {
    sim: Shared<Simulator>,
    host: String,
    ca: tempfile::NamedTempFile,
    _server: Server,
}

const POI: &str = "V400m-123456789";

async fn served(last: u8) -> Served {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let name = format!("{POI}.test.terminal.adyen.com");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, &authority).expect("signed").der().clone();
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&ca, authority.pem()).expect("written");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
    let sealed = Key::derive("shop", 1, "test123").expect("ASCII");
    let profile = Profile { poi: POI.into(), key: Some(sealed), time: SystemClock.wall(), ..Profile::default() };
    let sim = Shared::new(Simulator::new(profile));
    // Their library always connects to port 8443: a loopback address of our own.
    let process = std::process::id().to_be_bytes();
    let host = format!("127.{}.{}.{last}", process[2].max(1), process[3]);
    let listener = TcpListener::bind((&*host, 8443)).await.expect("the port is free there");
    let listener = listen(listener, &Identity::new(vec![certificate], key)).expect("a certificate with its key");
    Served { sim: sim.clone(), host, ca, _server: over(Box::new(listener), None, sim) }
}

#[tokio::test(flavor = "multi_thread")]
async fn their_till_pays_at_our_terminal() {
    let shop = served(2).await;
    let key = json!({"Passphrase": "test123", "KeyIdentifier": "shop", "KeyVersion": 1, "AdyenCryptoVersion": 1});
    let args = json!({"host": shop.host, "ca": shop.ca.path(), "poi": POI, "key": key}).to_string();
    let sim = shop.sim.clone();
    let watching = tokio::spawn(async move {
        // The second payment is declined.
        while sim.with(|s| s.received("Payment")) < 1 {
            tokio::task::yield_now().await;
        }
        sim.with(|s| s.misbehave(Misbehaviour::Decline));
    });
    let output = tokio::task::spawn_blocking(move || {
        let script = node("till.mjs").arg(args).spawn().expect("node runs");
        script.wait_with_output().expect("it ends")
    });
    let output = output.await.expect("no panic");
    watching.abort();
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let [paid, declined, status, missing, reversed, refunded, repeated, diagnosed] = &lines[..] else {
        panic!("{text}")
    };
    let body = |line: &Value, name: &str| line["SaleToPOIResponse"][name].clone();
    let paid = body(paid, "PaymentResponse");
    assert_eq!(paid["Response"]["Result"], "Success", "{text}");
    assert_eq!(paid["PaymentResult"]["AmountsResp"]["AuthorizedAmount"], 10.99);
    assert_eq!(paid["SaleData"]["SaleTransactionID"]["TransactionID"], "Käse 1");
    assert_eq!(paid["PaymentReceipt"].as_array().map(Vec::len), Some(2));
    assert_eq!(body(declined, "PaymentResponse")["Response"]["ErrorCondition"], "Refusal");
    let told = body(status, "TransactionStatusResponse");
    let again = &told["RepeatedMessageResponse"]["RepeatedResponseMessageBody"]["PaymentResponse"];
    assert_eq!(again["POIData"]["POITransactionID"], paid["POIData"]["POITransactionID"], "{told}");
    assert_eq!(body(missing, "TransactionStatusResponse")["Response"]["ErrorCondition"], "NotFound");
    assert_eq!(body(reversed, "ReversalResponse")["Response"]["Result"], "Success");
    assert_eq!(body(refunded, "PaymentResponse")["Response"]["Result"], "Success");
    assert!(
        repeated.get("SaleToPOIResponse").is_none_or(|answer| answer.get("PaymentResponse").is_none()),
        "{repeated}"
    );
    assert_eq!(body(diagnosed, "DiagnosisResponse")["POIStatus"]["GlobalStatus"], "OK");
    let states: Vec<State> = shop.sim.with(|s| s.ledger().entries().iter().map(|entry| entry.state).collect());
    assert_eq!(states, [State::Reversed, State::Declined, State::Stored, State::Stored]);
    assert_eq!(shop.sim.with(|s| s.repeats()), 1);
}

/// The whole way: address, driver table, TLS with the authority and the name of the vendor's certificates.
#[tokio::test]
async fn our_till_pays_over_tls_and_trusts_only_this_terminal() {
    let shop = served(3).await;
    let ca = shop.ca.path().display();
    let open = async |options: String| {
        let text = format!("nexo+https://{}?key=shop&passphrase=test123{options}", shop.host);
        let address: Address = text.parse().expect("an address");
        let context = Context::new("counter").with_journal(Arc::new(MemoryJournal::new()));
        Drivers::standard().open::<Terminals>(&address, context).await
    };
    let mut terminal = open(format!("&poi={POI}&ca={ca}")).await.expect("trusted");
    let payment = terminal.pay(Request::new("sale", Amount::eur(12_50)), Host::none()).await.expect("an outcome");
    assert!(matches!(payment, Payment::Charged(_)), "{payment:?}");
    // The certificate is another terminal's, or nobody vouches for it.
    for options in [format!("&poi=V400m-2&ca={ca}"), format!("&poi={POI}"), format!("&poi={POI}&ca={ca}&certificate=x")]
    {
        let Err(error) = open(options.clone()).await else { panic!("{options}: it was trusted") };
        assert_eq!(error.kind(), Kind::Refused, "{options}: {error}");
        assert!(!error.to_string().contains("test123"), "{error}");
    }
}
