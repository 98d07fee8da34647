//! What payment terminals and the vendor's own tenders can do beyond what a protocol tells: `[terminals.NAME.can]`,
//! `[terminals.NAME.methods.METHOD]`, `[tenders.NAME]`.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tresen_hal::Known;
use tresen_payment::OperationKind;

use super::problem::{Fault, Path};
use super::read::Reader;
use super::values::{kind, quoted};

/// What is declared about a terminal: of its provider, its integration and its contract, which no protocol tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declared {
    /// The terminal as a whole.
    pub can: Can,
    /// The methods of payment that it takes, in the order of the file.
    pub methods: Vec<Method>,
}

impl Declared {
    /// A method by its name, whatever its case: terminals write `GIROPAY`.
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| method.name.eq_ignore_ascii_case(name.trim()))
    }
}

/// A method of payment: `girocard`, `visa`, `giropay`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Method {
    /// Its name, as the terminal reports it for a card.
    pub name: String,
    /// What it can do.
    pub can: Can,
}

/// What is declared about a terminal, a method of payment or a tender. What is not declared is up to the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Can {
    /// Which operations are possible: [`Can::of`].
    pub operations: BTreeMap<OperationKind, Known>,
    /// It can pay a tip that is part of the sale.
    pub tip: Option<Known>,
    /// It can pay a part of what is open.
    pub partial: Option<Known>,
    /// The provider, for messages.
    pub provider: Option<String>,
    /// The integration, for messages: `ZVT`, `OPI`.
    pub integration: Option<String>,
}

/// The keys of [`Can`] besides the names of operations.
const KEYS: [&str; 4] = ["tip", "partial", "provider", "integration"];

impl Can {
    /// What is declared about operations of this kind.
    pub fn of(&self, kind: OperationKind) -> Option<Known> {
        self.operations.get(&kind).copied()
    }
}

impl Reader {
    /// What is declared in the section of a terminal; its other keys are not touched.
    pub(super) fn declared(&mut self, path: &Path, table: &DeTable<'_>) -> Option<Declared> {
        let mut declared = Declared::default();
        let mut found = false;
        for (key, value) in table {
            let path = path.key(key.get_ref());
            match &**key.get_ref() {
                "can" => {
                    found = true;
                    let Some(table) = self.table(&path, value, "`[terminals.NAME.can]`") else { continue };
                    for (key, value) in table {
                        let path = path.key(key.get_ref());
                        if key.get_ref() == "methods" {
                            for (_, name) in self.texts(&path, value) {
                                method(&mut declared, &name);
                            }
                        } else {
                            self.can(&path, key.get_ref(), value, &mut declared.can, &["methods"]);
                        }
                    }
                }
                "methods" => {
                    found = true;
                    let Some(table) = self.table(&path, value, "`[terminals.NAME.methods.METHOD]`") else { continue };
                    for (name, value) in table {
                        let can = self.can_table(&path.key(name.get_ref()), value);
                        method(&mut declared, name.get_ref()).can = can;
                    }
                }
                _ => {}
            }
        }
        found.then_some(declared)
    }

    /// The section of the vendor's own tenders.
    pub(super) fn tenders(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) {
        let Some(table) = self.table(path, value, "`[tenders.NAME]`") else { return };
        for (name, value) in table {
            let can = self.can_table(&path.key(name.get_ref()), value);
            self.config.tenders.insert(name.get_ref().to_string(), can);
        }
    }

    fn can_table(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Can {
        let mut can = Can::default();
        if let Some(table) = self.table(path, value, "`{ reversal = false }` or a section of its own") {
            for (key, value) in table {
                self.can(&path.key(key.get_ref()), key.get_ref(), value, &mut can, &[]);
            }
        }
        can
    }

    fn can(&mut self, path: &Path, key: &str, value: &Spanned<DeValue<'_>>, can: &mut Can, others: &[&str]) {
        if let Some(kind) = OperationKind::named(key).filter(|kind| *kind != OperationKind::Tip) {
            can.operations.extend(self.known(path, value).map(|known| (kind, known)));
            return;
        }
        match key {
            // What takes no tips takes none afterwards either.
            "tip" => {
                can.tip = self.known(path, value);
                can.operations.extend(can.tip.filter(|tip| tip.is_no()).map(|no| (OperationKind::Tip, no)));
            }
            "partial" => can.partial = self.known(path, value),
            "provider" => can.provider = self.filled(path, value),
            "integration" => can.integration = self.filled(path, value),
            _ => {
                let operations = OperationKind::ALL.iter().map(|kind| kind.name()).filter(|name| *name != "tip");
                let keys: Vec<_> = operations.chain(KEYS).chain(others.iter().copied()).collect();
                self.fault(Fault::error(path.clone(), format!("unknown key; expected one of {}", quoted(&keys))));
            }
        }
    }

    /// True, false or `"unknown"`.
    fn known(&mut self, path: &Path, value: &Spanned<DeValue<'_>>) -> Option<Known> {
        let known = match value.get_ref() {
            DeValue::Boolean(truth) => Some(Known::from(*truth)),
            DeValue::String(text) if text == "unknown" => Some(Known::Unknown),
            _ => None,
        };
        if known.is_none() {
            let what = format!("expected true, false or \"unknown\"; found {}", kind(value.get_ref()));
            self.fault(Fault::error(path.clone(), what));
        }
        known
    }
}

/// The method `name`, added if it is new.
fn method<'d>(declared: &'d mut Declared, name: &str) -> &'d mut Method {
    let at = declared.methods.iter().position(|method| method.name.eq_ignore_ascii_case(name));
    let at = at.unwrap_or_else(|| {
        declared.methods.push(Method { name: name.to_owned(), can: Can::default() });
        declared.methods.len() - 1
    });
    &mut declared.methods[at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::drivers::Drivers;

    const TERMINAL: &str = "[terminals.counter]\naddress = 'zvt+tcp://x'\n";

    fn config(text: &str) -> Config {
        Config::parse(text, "till.toml", &Drivers::standard()).expect(text)
    }

    #[test]
    fn methods_and_what_they_can_do_are_data() {
        let text = format!(
            "{TERMINAL}password = '000000'\n[terminals.counter.can]\nrefund = 'unknown'\nreversal = true\n\
             provider = 'Bank'\nmethods = ['girocard', 'giropay']\n[terminals.counter.methods.giropay]\nreversal = false\n\
             [tenders.voucher]\nrefund = false\n"
        );
        let config = config(&text);
        let declared = &config.declared["counter"];
        let (refund, reversal) = (OperationKind::Refund, OperationKind::Reversal);
        assert_eq!((declared.can.of(refund), declared.can.of(reversal)), (Some(Known::Unknown), Some(Known::Yes)));
        assert_eq!((declared.can.of(OperationKind::Pay), declared.can.provider.as_deref()), (None, Some("Bank")));
        assert_eq!(declared.methods.iter().map(|m| &*m.name).collect::<Vec<_>>(), ["girocard", "giropay"]);
        assert_eq!(declared.method("GIROPAY ").expect("there").can.of(reversal), Some(Known::No));
        assert_eq!(config.tenders["voucher"].of(refund), Some(Known::No));
        let options = &config.device(crate::Class::Terminal, "counter").expect("there").options;
        assert_eq!(options.keys().collect::<Vec<_>>(), ["password"], "no option of the protocol");
        assert!(self::config(TERMINAL).declared.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (line, said) in [
            (
                "[terminals.counter.can]\nreversl = false",
                "till.toml:4: key `terminals.counter.can.reversl`: unknown key",
            ),
            ("[terminals.counter.can]\nrefund = 'perhaps'", "expected true, false or \"unknown\""),
            ("[terminals.counter.can]\nmethods = 'visa'", "expected a list"),
            ("[terminals.counter.methods]\ngiropay = false", "expected a table"),
            ("[tenders.voucher]\nmethods = ['a']", "expected one of `pay`, `refund`"),
        ] {
            let text = format!("{TERMINAL}{line}\n");
            let error = Config::parse(&text, "till.toml", &Drivers::standard()).expect_err(line).to_string();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
