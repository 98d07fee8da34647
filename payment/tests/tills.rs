//! Several tills at the simulated terminal, and tills that connect anew for each command: written by hand, with the
//! bytes of the specification.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tresen_hal::Link;
use tresen_hal::link::Connect as _;
use tresen_hal::link::memory::{self, Dialer};
use tresen_hal::sim::Shared;
use tresen_payment::zvt::sim::{Commit, Profile, Server, Simulator, over};
use tresen_peers::zvt::bytes::take;

/// Password 123456, config 82 (the till prints, nothing is told meanwhile), euro.
const REGISTER: [u8; 9] = [0x06, 0x00, 0x06, 0x12, 0x34, 0x56, 0x82, 0x09, 0x78];
const LOG_OFF: [u8; 3] = [0x06, 0x02, 0x00];
/// 12.50 euro.
const PAY: [u8; 13] = [0x06, 0x01, 0x0a, 0x04, 0x00, 0x00, 0x00, 0x00, 0x12, 0x50, 0x49, 0x09, 0x78];
const POSITIVE: [u8; 3] = [0x80, 0x00, 0x00];
const NOT_REGISTERED: u16 = 0x846b;
const BUSY: u16 = 0x849c;
const REFUSED: u16 = 0x8483;

struct Counter {
    terminal: Shared<Simulator>,
    dialer: Dialer,
    _server: Server,
}

impl Counter {
    fn new(profile: Profile) -> Self {
        let (terminal, (dialer, port)) = (Shared::new(Simulator::new(profile)), memory::port());
        Self { _server: over(Box::new(port), terminal.clone()), terminal, dialer }
    }

    async fn connect(&self) -> Till {
        Till { link: self.dialer.connect().await.expect("it listens"), heard: Vec::new() }
    }

    fn stored(&self) -> usize {
        self.terminal.with(|t| t.ledger().stored().count())
    }
}

struct Till {
    link: Box<dyn Link>,
    heard: Vec<u8>,
}

impl Till {
    async fn says(&self, bytes: &[u8]) {
        self.link.send(bytes).await.expect("the terminal is there");
    }

    async fn hears(&mut self) -> Vec<u8> {
        let message = async {
            loop {
                if let Some(message) = take(&mut self.heard) {
                    return message;
                }
                self.link.recv(&mut self.heard).await.expect("the terminal is there");
            }
        };
        timeout(Duration::from_secs(60), message).await.expect("the terminal says something")
    }

    /// Sees a command through. The first answer, if it is a refusal, else the last message.
    async fn commands(&mut self, command: &[u8]) -> u16 {
        self.says(command).await;
        loop {
            let message = self.hears().await;
            let code = u16::from_be_bytes([message[0], message[1]]);
            if !matches!(message[0], 0x80 | 0x84) {
                self.says(&POSITIVE).await;
            }
            let log_off = command == LOG_OFF && code == 0x8000;
            if message[0] == 0x84 || matches!(code, 0x060f | 0x061e) || log_off {
                // What was said is heard.
                sleep(Duration::from_millis(1)).await;
                return code;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_till_that_connects_for_each_command_stays_registered_until_log_off() {
    let counter = Counter::new(Profile::default());
    assert_eq!(counter.connect().await.commands(&PAY).await, NOT_REGISTERED);
    assert_eq!(counter.connect().await.commands(&REGISTER).await, 0x060f);
    for payments in 1..=2 {
        assert_eq!(counter.connect().await.commands(&PAY).await, 0x060f);
        assert_eq!(counter.stored(), payments);
    }
    assert_eq!(counter.connect().await.commands(&LOG_OFF).await, 0x8000);
    assert_eq!(counter.connect().await.commands(&PAY).await, NOT_REGISTERED);
}

#[tokio::test(start_paused = true)]
async fn a_terminal_may_forget_its_till_with_the_connection() {
    let counter = Counter::new(Profile { keeps_registration: false, ..Profile::default() });
    let mut till = counter.connect().await;
    assert_eq!(till.commands(&REGISTER).await, 0x060f);
    assert_eq!(till.commands(&PAY).await, 0x060f);
    drop(till);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(counter.connect().await.commands(&PAY).await, NOT_REGISTERED);
}

#[tokio::test(start_paused = true)]
async fn a_silent_till_holds_up_nobody() {
    let counter = Counter::new(Profile { keeps_registration: false, ..Profile::default() });
    let silent = counter.connect().await;
    let mut half = counter.connect().await;
    half.says(&PAY[..5]).await;
    let mut till = counter.connect().await;
    assert_eq!(till.commands(&REGISTER).await, 0x060f);
    assert_eq!(till.commands(&PAY).await, 0x060f);
    assert_eq!(counter.stored(), 1);
    half.says(&PAY[5..]).await;
    assert_eq!(half.hears().await[..2], NOT_REGISTERED.to_be_bytes(), "each till registers for itself");
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn one_transaction_runs_at_a_time_and_only_its_till_answers() {
    for (commit, stands) in [(Commit::Reverses, 0), (Commit::Keeps, 1)] {
        let counter = Counter::new(Profile { commit, ..Profile::default() });
        let (mut first, mut second) = (counter.connect().await, counter.connect().await);
        assert_eq!(first.commands(&REGISTER).await, 0x060f);
        assert_eq!(second.commands(&REGISTER).await, 0x060f);
        first.says(&PAY).await;
        while first.hears().await[..2] != [0x04, 0x0f] {}
        // The approval waits for the first till: what the second one says is no answer to it.
        second.says(&POSITIVE).await;
        assert_eq!(second.commands(&PAY).await, BUSY);
        assert_eq!(second.commands(&[0x06, 0xb0, 0x00]).await, BUSY, "it cannot abort what is not its own");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(counter.stored(), 0);
        // T3: the first till does not answer. The terminal decides by itself, and is free.
        sleep(Duration::from_secs(5)).await;
        assert_eq!(counter.stored(), stands, "{commit:?}");
        assert_eq!(second.commands(&PAY).await, 0x060f);
        assert_eq!(counter.stored(), stands + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_refused() {
    let right = "123456".parse().expect("six digits");
    let counter = Counter::new(Profile { password: Some(right), ..Profile::default() });
    let mut till = counter.connect().await;
    let mut wrong = REGISTER;
    wrong[5] = 0x57;
    assert_eq!(till.commands(&wrong).await, REFUSED);
    assert_eq!(till.commands(&REGISTER).await, 0x060f);
    for instr in [0x50, 0x10, 0x93, 0x31] {
        assert_eq!(till.commands(&[0x06, instr, 0x03, 0x00, 0x00, 0x00]).await, REFUSED, "06 {instr:02x}");
    }
    assert_eq!(till.commands(&[0x05, 0x01, 0x03, 0x00, 0x00, 0x00]).await, REFUSED);
    assert_eq!(till.commands(&[0x06, 0x50, 0x03, 0x12, 0x34, 0x56]).await, 0x060f);
}

#[tokio::test(start_paused = true)]
async fn a_result_has_the_terminals_date_and_time() {
    let time = jiff::civil::date(2026, 11, 22).at(9, 58, 7, 0);
    let counter = Counter::new(Profile { time: Some(time), ..Profile::default() });
    let mut till = counter.connect().await;
    assert_eq!(till.commands(&REGISTER).await, 0x060f);
    till.says(&PAY).await;
    let result = loop {
        let message = till.hears().await;
        if message[..2] == [0x04, 0x0f] {
            break message;
        }
    };
    let has = |part: &[u8]| result.windows(part.len()).any(|window| window == part);
    assert!(has(&[0x0c, 0x09, 0x58, 0x07]) && has(&[0x0d, 0x11, 0x22]), "{result:02x?}");
}
