//! 06 10 send turnover totals, 06 50 end-of-day, 06 20 repeat receipt, 06 70 diagnosis, 06 93 initialisation, 06 B0
//! abort (PA00P015, chapters of these names).

use super::super::wire;
use super::Password;

/// Appends 06 50: the terminal hands its turnover to the network operator.
pub fn end_of_day(out: &mut Vec<u8>, password: Password) {
    wire::encode(out, 0x06, 0x50, |out| out.extend(password.bytes()));
}

/// Appends 06 10: the terminal tells its turnover in a 04 0F.
pub fn totals(out: &mut Vec<u8>, password: Password) {
    wire::encode(out, 0x06, 0x10, |out| out.extend(password.bytes()));
}

/// Appends 06 93: the terminal is initialised at its host.
pub fn initialisation(out: &mut Vec<u8>, password: Password) {
    wire::encode(out, 0x06, 0x93, |out| out.extend(password.bytes()));
}

/// Appends 06 20: the last receipt once more.
///
/// BMP 03, the service byte: bit 0 asks for the status information 04 0F, bit 1 suppresses printing.
/// The default of the specification, 00, sends no status information.
pub fn repeat_receipt(out: &mut Vec<u8>, password: Password, service: u8) {
    wire::encode(out, 0x06, 0x20, |out| {
        out.extend(password.bytes());
        out.extend([0x03, service]);
    });
}

/// Bit 0 of the service byte of 06 20: with status information.
pub const WITH_STATUS: u8 = 0x01;
/// Bit 1 of the service byte of 06 20: without printing.
pub const WITHOUT_PRINT: u8 = 0x02;

/// Appends 06 70: the terminal calls its network operator.
pub fn diagnosis(out: &mut Vec<u8>) {
    wire::encode(out, 0x06, 0x70, |_| {});
}

/// Appends 06 B0: the running command should end. Its acknowledgement is no outcome.
pub fn abort(out: &mut Vec<u8>) {
    wire::encode(out, 0x06, 0xb0, |_| {});
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_the_specification_lays_out() {
        let password: Password = "123456".parse().expect("six digits");
        let mut out = Vec::new();
        repeat_receipt(&mut out, password, WITH_STATUS | WITHOUT_PRINT);
        assert_eq!(out, [0x06, 0x20, 0x05, 0x12, 0x34, 0x56, 0x03, 0x03]);
        out.clear();
        end_of_day(&mut out, password);
        diagnosis(&mut out);
        abort(&mut out);
        assert_eq!(out, [0x06, 0x50, 0x03, 0x12, 0x34, 0x56, 0x06, 0x70, 0x00, 0x06, 0xb0, 0x00]);
        out.clear();
        totals(&mut out, password);
        initialisation(&mut out, password);
        assert_eq!(out, [0x06, 0x10, 0x03, 0x12, 0x34, 0x56, 0x06, 0x93, 0x03, 0x12, 0x34, 0x56]);
    }
}
