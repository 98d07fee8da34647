//! A simulated serial scanner, with faults on request.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tresen_hal::sim::{Action, Device};

use crate::Symbology;

/// How a simulated scanner is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Bytes before each code.
    pub prefix: Vec<u8>,
    /// Whether it sends AIM identifiers.
    pub aim: bool,
    /// Bytes after each code.
    pub suffix: Vec<u8>,
    /// Whether it reads only after Honeywell's trigger command SYN T CR, until SYN U CR or a read.
    pub triggered: bool,
}

impl Default for Settings {
    /// AIM identifiers and CRLF, always reading.
    fn default() -> Self {
        Self { prefix: Vec::new(), aim: true, suffix: b"\r\n".into(), triggered: false }
    }
}

/// A fault that happens once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The second half of the code is lost; its suffix is sent.
    Truncated,
    /// The code is held back and sent in one chunk with the next.
    TwoInOneChunk,
    /// Garbage, as from a wrong baud rate, precedes the code.
    Noise,
    /// The bytes are sent one by one, 2 ms apart.
    Slow,
}

/// Between two bytes of [`Fault::Slow`].
const SLOW: Duration = Duration::from_millis(2);
/// The longest command that it buffers, in bytes.
const LONGEST_COMMAND: usize = 64;

/// A simulated serial scanner.
#[derive(Debug)]
pub struct Simulator {
    settings: Settings,
    codes: VecDeque<(Vec<u8>, Option<Fault>)>,
    fault: Option<Fault>,
    pressed: bool,
    command: Vec<u8>,
    slow: VecDeque<u8>,
    next_byte: Option<Instant>,
    now: Option<Instant>,
}

impl Simulator {
    /// A scanner with no code in front of it yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            codes: VecDeque::new(),
            fault: None,
            pressed: false,
            command: Vec::new(),
            slow: VecDeque::new(),
            next_byte: None,
            now: None,
        }
    }

    /// Holds a code in front of it, which it reads in turn.
    pub fn scan(&mut self, data: impl AsRef<[u8]>, symbology: Symbology) {
        let data = data.as_ref();
        let aim = symbology.aim().filter(|_| self.settings.aim).map(|aim| aim.to_string());
        let fault = self.fault.take();
        let sent = if fault == Some(Fault::Truncated) { &data[..data.len() / 2] } else { data };
        let mut bytes = if fault == Some(Fault::Noise) { b"\xff\x00\xfe\x80".to_vec() } else { Vec::new() };
        bytes.extend(&self.settings.prefix);
        bytes.extend(aim.unwrap_or_default().bytes());
        bytes.extend(sent);
        bytes.extend(&self.settings.suffix);
        self.codes.push_back((bytes, fault));
    }

    /// Applies a fault to the next code.
    pub fn fault_next(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Whether a command is holding its trigger.
    pub fn is_triggered(&self) -> bool {
        self.pressed
    }
}

impl Device for Simulator {
    fn connected(&mut self, now: Instant) {
        self.now = Some(now);
        self.command.clear();
    }

    fn input(&mut self, bytes: &[u8], now: Instant) {
        self.now = Some(now);
        for &byte in bytes {
            if byte == 0x16 || self.command.len() >= LONGEST_COMMAND {
                self.command.clear();
            }
            self.command.push(byte);
            match &self.command[..] {
                b"\x16T\r" => self.pressed = true,
                b"\x16U\r" => self.pressed = false,
                _ => {}
            }
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        if self.next_byte.is_some() || (self.settings.triggered && !self.pressed) {
            return None;
        }
        if self.codes.front().is_some_and(|(_, fault)| *fault == Some(Fault::TwoInOneChunk)) && self.codes.len() < 2 {
            return None;
        }
        let (mut bytes, fault) = self.codes.pop_front()?;
        self.pressed = false;
        match fault {
            Some(Fault::TwoInOneChunk) => bytes.extend(self.codes.pop_front().map(|(b, _)| b).unwrap_or_default()),
            Some(Fault::Slow) => {
                self.slow = bytes.split_off(1.min(bytes.len())).into();
                self.next_byte = self.now.map(|now| now + SLOW).filter(|_| !self.slow.is_empty());
            }
            _ => {}
        }
        Some(Action::Send(bytes))
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_byte
    }

    fn timeout(&mut self, now: Instant) {
        self.now = Some(now);
        if self.next_byte.take().is_some_and(|at| at <= now)
            && let Some(byte) = self.slow.pop_front()
        {
            // The rest becomes a slow code of its own, so that its first byte goes out now.
            let mut rest = vec![byte];
            rest.extend(self.slow.drain(..));
            self.codes.push_front((rest, Some(Fault::Slow)));
            self.pressed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sim: &mut Simulator) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| sim.next_action())
            .map(|action| match action {
                Action::Send(bytes) => bytes,
                Action::HangUp => panic!("scanners do not hang up"),
            })
            .collect()
    }

    #[test]
    fn sends_as_it_is_set_up() {
        let settings = Settings { prefix: vec![2], aim: true, suffix: vec![3], triggered: false };
        let mut sim = Simulator::new(settings);
        sim.scan("4006381333931", Symbology::Ean13);
        sim.scan("x", Symbology::Unknown);
        assert_eq!(sent(&mut sim), [b"\x02]E04006381333931\x03".to_vec(), b"\x02x\x03".to_vec()]);
    }

    /// The field's facts: Honeywell's trigger is 16 54 0D on and 16 55 0D off.
    #[test]
    fn reads_while_triggered() {
        let mut sim = Simulator::new(Settings { triggered: true, ..Settings::default() });
        sim.scan("1", Symbology::Code128);
        let now = Instant::now();
        sim.input(&[0x16, 0x54], now);
        assert!(sent(&mut sim).is_empty());
        sim.input(&[0x0d, 0x16, 0x55, 0x0d], now);
        assert!(sent(&mut sim).is_empty() && !sim.is_triggered());
        sim.input(&[0x16, 0x54, 0x0d], now);
        assert_eq!(sent(&mut sim), [b"]C01\r\n".to_vec()]);
        assert!(!sim.is_triggered(), "a read releases it");
    }

    #[test]
    fn slow_bytes_come_one_by_one() {
        let mut sim = Simulator::new(Settings { aim: false, ..Settings::default() });
        let mut now = Instant::now();
        sim.connected(now);
        sim.fault_next(Fault::Slow);
        sim.scan("12", Symbology::Code128);
        let mut got = sent(&mut sim);
        while let Some(at) = sim.deadline() {
            assert_eq!(at, now + SLOW);
            now = at;
            sim.timeout(now);
            got.extend(sent(&mut sim));
        }
        assert_eq!(got, [b"1", b"2", b"\r", b"\n"].map(|b| b.to_vec()));
    }
}
