use tempfile::TempDir;

use super::*;

const NOW: &str = "2026-01-02T08:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn open(dir: &TempDir, in_use: bool) -> Result<Authority> {
    Authority::open(&dir.path().join("till.db"), "0198", in_use, now())
}

fn file(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join("till.db.remote").join(name)
}

#[test]
fn the_authority_and_the_leaf_are_made_once_and_are_for_their_owner_only() -> Result<()> {
    let dir = tempfile::tempdir().expect("a folder");
    let first = open(&dir, false)?;
    let leaf = first.leaf(&["Till-1.local".into(), "192.0.2.7".into()], now())?;
    let again = open(&dir, true)?;
    assert_eq!(first.fingerprint(), again.fingerprint());
    let same = again.leaf(&["till-1.local".into()], now())?;
    assert_eq!(same.certificate, leaf.certificate, "it has all names");
    let other = again.leaf(&["till-2.local".into()], now())?;
    assert_ne!(other.certificate, leaf.certificate);
    assert!(other.names.contains("till-2.local") && other.names.contains("0198.tresen.internal"), "{other:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: PathBuf| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(dir.path().join("till.db.remote")), 0o700);
        for name in ["ca.key", "ca.pem", "till.key", "till.pem"] {
            assert_eq!(mode(file(&dir, name)), 0o600, "{name}");
        }
    }
    Ok(())
}

#[test]
fn the_leaf_is_renewed_in_its_last_third_and_where_it_is_damaged() -> Result<()> {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = open(&dir, false)?;
    let leaf = authority.leaf(&[], now())?;
    assert_eq!(authority.leaf(&[], now() + DAY * 240)?.certificate, leaf.certificate);
    assert_ne!(authority.leaf(&[], now() + DAY * 245)?.certificate, leaf.certificate);
    let kept = authority.leaf(&[], now())?;
    std::fs::write(file(&dir, "till.key"), "cut short").expect("written");
    assert_ne!(authority.leaf(&[], now())?.certificate, kept.certificate);
    Ok(())
}

#[test]
fn a_lost_or_damaged_authority_is_never_replaced_silently() -> Result<()> {
    for (name, content) in [("ca.key", None), ("ca.pem", None), ("ca.key", Some("x")), ("ca.pem", Some("x"))] {
        let dir = tempfile::tempdir().expect("a folder");
        open(&dir, false)?;
        match content {
            None => std::fs::remove_file(file(&dir, name)),
            Some(content) => std::fs::write(file(&dir, name), content),
        }
        .expect("done");
        let error = open(&dir, true).expect_err("refused");
        assert_eq!(error.kind(), Kind::Storage, "{name}: {error}");
        assert!(error.to_string().contains(name) && error.to_string().contains("enrol"), "{error}");
    }
    // Another authority's key.
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    open(&one, false)?;
    open(&other, false)?;
    std::fs::copy(file(&one, "ca.key"), file(&other, "ca.key")).expect("copied");
    assert!(open(&other, false).expect_err("refused").to_string().contains("do not belong together"));
    // Killed while it was made, before anybody could trust it.
    std::fs::remove_file(file(&one, "ca.pem")).expect("removed");
    open(&one, false)?;
    Ok(())
}

#[test]
fn a_client_gets_the_tills_subject_and_usages_whatever_it_asks_for() -> Result<()> {
    let dir = tempfile::tempdir().expect("a folder");
    let authority = open(&dir, false)?;
    let key = KeyPair::generate().expect("a key");
    let mut asked = CertificateParams::new(vec!["till-1.local".to_owned()]).expect("params");
    asked.distinguished_name.push(DnType::CommonName, "the boss");
    asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    asked.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    asked.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = asked.serialize_request(&key).expect("a request").pem().expect("PEM");
    let issued = authority.issue("handheld 7", &request, now())?;
    let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).expect("PEM");
    let (_, parsed) = X509Certificate::from_der(&der).expect("X.509");
    assert!(parsed.subject().to_string().contains("CN=handheld 7"), "{}", parsed.subject());
    assert!(!parsed.subject().to_string().contains("boss"));
    assert!(!parsed.is_ca());
    assert!(parsed.subject_alternative_name().expect("sound").is_none());
    let usage = parsed.extended_key_usage().expect("sound").expect("there").value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert!(parsed.key_usage().expect("sound").is_some_and(|usage| !usage.value.key_cert_sign()));
    assert_eq!(issued.expires, now() + CLIENT);
    assert_eq!(parsed.validity().not_after.timestamp(), issued.expires.as_second());

    let error = authority.issue("handheld 7", "no request", now()).expect_err("refused");
    assert_eq!(error.kind(), Kind::Input);
    // The signature shows that the asker has the key.
    let mut der = asked.serialize_request(&key).expect("a request").der().to_vec();
    *der.last_mut().expect("bytes") ^= 1;
    assert!(CertificateSigningRequestParams::from_der(&der.as_slice().into()).is_err());
    Ok(())
}
