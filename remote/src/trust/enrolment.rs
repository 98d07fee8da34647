//! Enrolment: a client gets a certificate by a one-time code, which also tells it that the till is the till.
//!
//! Code and certificates never travel together. Both ends derive `K` from the code (PBKDF2-HMAC-SHA-256 with the till's
//! salt, 200,000 rounds) and prove that they know it:
//! ```text
//! → GET  /v1/enrol    ← {"till":"0198…","name":"Till 1","salt":"…"}
//! → POST /v1/enrol    {"nonce":"…","request":"PKCS #10, PEM","proof":"…"}
//!     proof = HMAC(K, "client" ‖ SHA-256(till's certificate as seen) ‖ nonce ‖ SHA-256(request))
//! ← {"certificate":"…","authority":"…","proof":"…"}
//!     proof = HMAC(K, "till" ‖ SHA-256(authority) ‖ SHA-256(certificate) ‖ nonce)
//! ```
//! The client connects without trusting. A relay with a certificate of its own makes the client prove another certificate
//! than the till's, so that the till refuses; it cannot answer for the till without `K`, so that the client refuses. The
//! hashes are of DER; salt and nonce have 32 bytes. An attempt that was relayed counts as a wrong one: the code stays
//! good for the next until five have failed.
//!
//! Sans-IO: the time is an argument.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use tresen::remote::Invitation;
use tresen_hal::{Error, Kind, Result};

use super::codes::{Codes, LIFE};
use super::secret::{hmac, is_hmac, key_of, sha256, unhex};

/// `GET /v1/enrol`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Offer {
    pub(super) till: String,
    pub(super) name: String,
    pub(super) salt: String,
}

/// `POST /v1/enrol`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    pub(super) nonce: String,
    pub(super) request: String,
    pub(super) proof: String,
}

/// Its answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Enrolled {
    pub(super) name: String,
    pub(super) certificate: String,
    pub(super) authority: String,
    pub(super) proof: String,
}

/// The till's side.
pub(super) struct Desk {
    codes: Codes,
    /// What was answered, so that a client whose connection broke off can ask the same again.
    answered: Vec<([u8; 32], Enrolled, Instant)>,
}

/// An accepted request.
pub(super) struct Accepted {
    pub(super) invitation: Invitation,
    pub(super) request: String,
    key: [u8; 32],
    nonce: [u8; 32],
    digest: [u8; 32],
}

/// What the desk says to a request.
pub(super) enum Verdict {
    /// It is to be issued, then [`Desk::answer`]ed.
    Issue(Box<Accepted>),
    /// The same was asked and answered before.
    Again(Box<Enrolled>),
}

impl Desk {
    pub(super) fn new() -> Self {
        Self { codes: Codes::new(), answered: Vec::new() }
    }

    /// Opens a code; `key` is [`key_of`] it.
    pub(super) fn open(&mut self, now: Instant, invitation: Invitation, key: [u8; 32]) -> Result<()> {
        self.codes.open(now, invitation, None, key)
    }

    /// Checks a request. `leaves` are the SHA-256 of the certificates that the till shows.
    ///
    /// # Errors
    /// [`Kind::Input`]: nonce or proof are not 32 bytes in hexadecimal. [`Kind::Busy`], [`Kind::Permission`]: as
    /// [`Codes::redeem`].
    pub(super) fn check(&mut self, now: Instant, ask: &Ask, leaves: &[[u8; 32]]) -> Result<Verdict> {
        let bytes = |field: &str, text: &str| {
            let wrong = || Error::new(Kind::Input, format!("field `{field}` is not 32 bytes in hexadecimal"));
            unhex::<32>(text).ok_or_else(wrong)
        };
        let (nonce, proof) = (bytes("nonce", &ask.nonce)?, bytes("proof", &ask.proof)?);
        self.answered.retain(|(_, _, until)| now < *until);
        let request = digest(&ask.request)?;
        let digest = sha256(&[nonce, proof, request].concat());
        if let Some((_, enrolled, _)) = self.answered.iter().find(|(same, ..)| *same == digest) {
            return Ok(Verdict::Again(Box::new(enrolled.clone())));
        }
        let open = self.codes.redeem(now, |open| {
            let fits = |leaf: &[u8; 32]| is_hmac(&open.key, &[b"client", leaf, &nonce, &request], &proof);
            leaves.iter().map(fits).fold(false, |one, other| one | other)
        })?;
        let request = ask.request.clone();
        Ok(Verdict::Issue(Box::new(Accepted { invitation: open.invitation, request, key: open.key, nonce, digest })))
    }

    /// The answer to an accepted request. Certificates are PEM with their DER.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        accepted: &Accepted,
        certificate: (&str, &[u8]),
        authority: (&str, &[u8]),
    ) -> Enrolled {
        let enrolled = Enrolled {
            name: accepted.invitation.name.clone(),
            certificate: certificate.0.to_owned(),
            authority: authority.0.to_owned(),
            proof: super::secret::hex(&till_proof(&accepted.key, authority.1, certificate.1, &accepted.nonce)),
        };
        self.answered.push((accepted.digest, enrolled.clone(), now + LIFE));
        enrolled
    }
}

/// The client's side.
pub(super) struct Candidate {
    key: [u8; 32],
    nonce: [u8; 32],
}

impl Candidate {
    /// Derives the key from the code: takes about a tenth of a second.
    pub(super) fn new(code: &[u8], salt: &[u8; 32], nonce: [u8; 32]) -> Self {
        Self { key: key_of(code, salt), nonce }
    }

    /// What to send: `leaf` is the certificate that the till showed (DER).
    pub(super) fn ask(&self, leaf: &[u8], request: &str) -> Result<Ask> {
        let proof = hmac(&self.key, &[b"client", &sha256(leaf), &self.nonce, &digest(request)?]);
        let hex = super::secret::hex;
        Ok(Ask { nonce: hex(&self.nonce), request: request.to_owned(), proof: hex(&proof) })
    }

    /// Whether the answer comes from somebody who knows the code.
    pub(super) fn is_till(&self, authority: &[u8], certificate: &[u8], proof: &str) -> bool {
        let Some(proof) = unhex::<32>(proof) else { return false };
        let parts: [&[u8]; 4] = [b"till", &sha256(authority), &sha256(certificate), &self.nonce];
        is_hmac(&self.key, &parts, &proof)
    }
}

fn till_proof(key: &[u8; 32], authority: &[u8], certificate: &[u8], nonce: &[u8; 32]) -> [u8; 32] {
    hmac(key, &[b"till", &sha256(authority), &sha256(certificate), nonce])
}

/// SHA-256 of a request's DER.
fn digest(request: &str) -> Result<[u8; 32]> {
    use rustls::pki_types::CertificateSigningRequestDer;
    use rustls::pki_types::pem::PemObject;
    let der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes())
        .map_err(|_| Error::new(Kind::Input, "field `request` is not a certificate request in PEM"))?;
    Ok(sha256(&der))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CODE: &[u8] = b"K7QF02ZM9XTA";
    const LEAF: &[u8] = b"the till's certificate";

    fn request() -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::default();
        params.serialize_request(&key).expect("a request").pem().expect("PEM")
    }

    fn desk(now: Instant) -> Desk {
        let mut desk = Desk::new();
        let invitation = Invitation::new("handheld 7", "watch".parse().expect("rights"));
        desk.open(now, invitation, key_of(CODE, &[7; 32])).expect("opened");
        desk
    }

    fn issue(verdict: Verdict) -> Box<Accepted> {
        match verdict {
            Verdict::Issue(accepted) => accepted,
            Verdict::Again(_) => panic!("nothing was answered before"),
        }
    }

    #[test]
    fn both_ends_prove_that_they_know_the_code() -> Result<()> {
        let now = Instant::now();
        let (mut desk, candidate) = (desk(now), Candidate::new(CODE, &[7; 32], [9; 32]));
        let ask = candidate.ask(LEAF, &request())?;
        let accepted = issue(desk.check(now, &ask, &[sha256(b"an older one"), sha256(LEAF)])?);
        assert_eq!(accepted.invitation.name, "handheld 7");
        let enrolled = desk.answer(now, &accepted, ("PEM", b"certificate"), ("PEM", b"authority"));
        assert!(candidate.is_till(b"authority", b"certificate", &enrolled.proof));
        assert!(!candidate.is_till(b"another", b"certificate", &enrolled.proof));
        assert!(!candidate.is_till(b"authority", b"another", &enrolled.proof));
        assert!(!Candidate::new(CODE, &[7; 32], [8; 32]).is_till(b"authority", b"certificate", &enrolled.proof));
        assert!(!Candidate::new(b"000000000000", &[7; 32], [9; 32]).is_till(
            b"authority",
            b"certificate",
            &enrolled.proof
        ));
        // The same once more, after a connection that broke off; and the code for somebody else.
        assert!(matches!(desk.check(now, &ask, &[sha256(LEAF)])?, Verdict::Again(same) if *same == enrolled));
        let later = now + Duration::from_secs(5);
        let other = Candidate::new(CODE, &[7; 32], [1; 32]).ask(LEAF, &request())?;
        assert_eq!(desk.check(later, &other, &[sha256(LEAF)]).err().map(|e| e.kind()), Some(Kind::Permission));
        Ok(())
    }

    #[test]
    fn a_relays_certificate_another_request_and_another_nonce_do_not_fit() -> Result<()> {
        let start = Instant::now();
        let (mut desk, candidate) = (desk(start), Candidate::new(CODE, &[7; 32], [9; 32]));
        let good = candidate.ask(LEAF, &request())?;
        let relayed = candidate.ask(b"the relay's certificate", &request())?;
        let swapped = Ask { request: request(), ..good.clone() };
        let renonced = Ask { nonce: super::super::secret::hex(&[3; 32]), ..good.clone() };
        for (n, ask) in [relayed, swapped, renonced].iter().enumerate() {
            let at = start + Duration::from_secs(n as u64);
            assert_eq!(desk.check(at, ask, &[sha256(LEAF)]).err().map(|e| e.kind()), Some(Kind::Permission), "{n}");
        }
        issue(desk.check(start + Duration::from_secs(9), &good, &[sha256(LEAF)])?);
        Ok(())
    }

    #[test]
    fn what_is_malformed_is_refused_by_the_fields_name() -> Result<()> {
        let now = Instant::now();
        let good = Candidate::new(CODE, &[7; 32], [9; 32]).ask(LEAF, &request())?;
        let bad = [
            ("nonce", Ask { nonce: "09".into(), ..good.clone() }),
            ("proof", Ask { proof: String::new(), ..good.clone() }),
            ("request", Ask { request: "a".into(), ..good.clone() }),
        ];
        for (field, ask) in bad {
            let error = desk(now).check(now, &ask, &[sha256(LEAF)]).err().expect("refused");
            assert!(error.kind() == Kind::Input && error.to_string().contains(field), "{error}");
        }
        Ok(())
    }
}
