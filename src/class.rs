//! Classes of devices. A new class is a variant and a row here, and a file in `src/manager`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The class of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "DeviceClass"))]
#[non_exhaustive]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Receipt printers.
    Printer,
    /// Payment terminals.
    Terminal,
    /// Barcode scanners.
    Scanner,
    /// Cameras that read codes.
    Camera,
}

/// Each class with its name and its section in configurations.
const CLASSES: [(Class, &str, &str); 4] = [
    (Class::Printer, "printer", "printers"),
    (Class::Terminal, "terminal", "terminals"),
    (Class::Scanner, "scanner", "scanners"),
    (Class::Camera, "camera", "cameras"),
];

impl Class {
    /// All classes.
    pub fn all() -> impl Iterator<Item = Self> {
        CLASSES.iter().map(|(class, ..)| *class)
    }

    /// Its name: `printer`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Its section in a configuration: `printers`.
    pub fn section(self) -> &'static str {
        self.row().2
    }

    /// The class of a section.
    pub fn of_section(section: &str) -> Option<Self> {
        CLASSES.iter().find(|row| row.2 == section).map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        CLASSES.iter().find(|row| row.0 == self).unwrap_or(&CLASSES[0])
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A device: names are unique within a class only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceId {
    /// Its class.
    pub class: Class,
    /// Its logical name.
    pub name: String,
}

impl DeviceId {
    /// The device `name` of a class.
    pub fn new(class: Class, name: impl Into<String>) -> Self {
        Self { class, name: name.into() }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.class, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_a_row_under_its_serialised_name() {
        for class in Class::all() {
            assert_eq!(serde_json::to_value(class).expect("serialises"), class.name());
            assert_eq!(Class::of_section(class.section()), Some(class));
        }
        assert_eq!(DeviceId::new(Class::Camera, "door").to_string(), "camera door");
    }
}
