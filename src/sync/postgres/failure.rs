//! PostgreSQL's errors in the library's words, with what to do.

use std::io::ErrorKind;

use tokio_postgres::error::SqlState;
use tresen_hal::{Effect, Error, Kind, Retry};

use super::connect::Target;

/// The error for a connection that could not be made. It had no effect.
pub(super) fn of_connect(error: &tokio_postgres::Error, target: &Target) -> Error {
    if let Some(failure) = by_code(error, target) {
        return failure;
    }
    let io = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    // An I/O error does not tell of the error it wraps as its source.
    let tls = io.and_then(std::io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (kind, what, hint) = match (tls, io.map(std::io::Error::kind)) {
        (Some(rustls::Error::InvalidCertificate(_)), _) => (
            Kind::Permission,
            "the server's certificate is not trusted",
            Some("`ca` must contain the authority that signed it, and the certificate must name the host of the URL"),
        ),
        (_, Some(ErrorKind::ConnectionRefused)) => {
            (Kind::Refused, "nobody listens there", Some("is PostgreSQL running, and is the port right?"))
        }
        (_, Some(ErrorKind::TimedOut)) => (Kind::Timeout, "no answer", Some("is the server on, and the network up?")),
        (_, Some(ErrorKind::PermissionDenied)) => (Kind::Permission, "permission denied", None),
        (_, Some(_)) => (Kind::Io, "the server cannot be reached", Some("is the server on, and the network up?")),
        (None, None) if error.to_string().contains("does not support TLS") => (
            Kind::Config,
            "the server does not offer TLS",
            Some("set `ssl = on` at the server, or remove `ca` if nobody else can enter the network"),
        ),
        (None, None) if error.to_string().contains("password") => (
            Kind::Permission,
            "the server wants a password",
            Some("set `password-file`, or the environment variable PGPASSWORD"),
        ),
        (_, None) => (Kind::Closed, "the connection could not be made", None),
    };
    finish(Error::new(kind, what).with_effect(Effect::None), hint, target, error)
}

/// The error for a call that failed on an open connection.
pub(super) fn of_call(error: &tokio_postgres::Error, target: &Target) -> Error {
    // A server that reports an error has rolled back.
    by_code(error, target).unwrap_or_else(|| {
        let cut = Error::new(Kind::Closed, "the connection was cut").with_effect(Effect::Unknown);
        finish(cut, None, target, error)
    })
}

/// The error for what the server itself reports.
fn by_code(error: &tokio_postgres::Error, target: &Target) -> Option<Error> {
    let reported = error.as_db_error()?;
    let (role, code) = (target.role(), reported.code());
    let (kind, what, hint) = if *code == SqlState::INVALID_PASSWORD {
        (Kind::Permission, format!("the password of the role `{role}` is wrong"), "check `password-file`".to_owned())
    } else if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        let hint = format!("CREATE ROLE {role} LOGIN IN ROLE tresen_till, and allow it in pg_hba.conf");
        (Kind::Permission, format!("the role `{role}` may not log in"), hint)
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        let what = format!("the server has no database `{}`", target.database());
        (Kind::Config, what, "create it, then run `tresen server migrate`".into())
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE && reported.message().starts_with("till ") {
        // Raised by `tresen.check_login`.
        let hint = "use the login that this till used before, or change `login` in tresen.registered";
        (Kind::Permission, reported.message().to_owned(), hint.into())
    } else if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        let what = format!("the role `{role}` may not use the schema `tresen`");
        (Kind::Permission, what, format!("GRANT tresen_till TO {role}"))
    } else if [SqlState::INVALID_SCHEMA_NAME, SqlState::UNDEFINED_FUNCTION, SqlState::UNDEFINED_TABLE].contains(code) {
        (Kind::Config, "the database lacks the schema of tresen".into(), "run `tresen server migrate`".into())
    } else if [SqlState::CANNOT_CONNECT_NOW, SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code) {
        (Kind::Closed, "the server is starting or stopping".into(), String::new())
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        (Kind::Busy, "the server has no connection left".into(), "raise `max_connections`".into())
    } else if *code == SqlState::DISK_FULL {
        (Kind::Operator, "the server's disk is full".into(), "free some space there".into())
    } else {
        (Kind::Protocol, format!("the server reports: {}", reported.message()), String::new())
    };
    // A shutdown in the middle of a call: the commit may have been done.
    let effect = if kind == Kind::Closed { Effect::Unknown } else { Effect::None };
    let hint = Some(hint.as_str()).filter(|hint| !hint.is_empty());
    Some(finish(Error::new(kind, what).with_effect(effect), hint, target, error))
}

fn finish(failed: Error, hint: Option<&str>, target: &Target, cause: &tokio_postgres::Error) -> Error {
    let person = matches!(failed.kind(), Kind::Config | Kind::Permission | Kind::Operator);
    let retry = if person { Retry::AfterOperator } else { Retry::AfterReconnect };
    let why = causes(cause).map(|cause| cause.to_string()).last().unwrap_or_default();
    let failed = failed.at(target).with_retry(retry).because(why);
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// An error and its causes, outermost first.
fn causes(error: &tokio_postgres::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| error.source())
}
