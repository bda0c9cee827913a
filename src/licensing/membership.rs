//! Rules of device groups: a small language that people read as a sentence,
//! `model = "iPad*" and os >= 17.0 and (platform = iOS or tag = lab) and supervised and not group = "Guests"`.
//!
//! Pure: a rule is read once, and asked of the facts of one device at a time. What a device has not told fits nothing, so a
//! condition with `!=`, or with `not` before it, holds for it. Knows nothing of where facts come from.

mod parse;

use std::cmp::Ordering;
use std::fmt;

pub use parse::RuleError;

/// What a rule may ask about a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    pub serial: String,
    /// What the device calls its model: `iPad13,18`, and the name that people know.
    pub models: Vec<String>,
    /// As the device tells it, `17.6.1`; empty when it has not.
    pub os: String,
    /// `iOS`, `macOS`, ...; empty when the model is not known.
    pub platform: &'static str,
    /// `None`: not told, and taken for no.
    pub supervised: Option<bool>,
    /// `organisation`, `personal` or `kiosk`.
    pub ownership: String,
    pub tags: Vec<String>,
    /// The e-mail address of its person; empty without one.
    pub person: String,
    /// The groups of its person.
    pub groups: Vec<String>,
}

/// Which devices are in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(Expression);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    /// Two or more.
    All(Vec<Expression>),
    /// Two or more.
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Supervised,
    Text {
        field: Field,
        equal: bool,
        /// `*` stands for any text.
        pattern: String,
    },
    Os {
        relation: Relation,
        version: Version,
    },
}

/// What is compared as text, whatever the case of its letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Platform,
    Ownership,
    Tag,
    Group,
    Person,
    Serial,
}

const FIELDS: [(&str, Field); 7] = [
    ("model", Field::Model),
    ("platform", Field::Platform),
    ("ownership", Field::Ownership),
    ("tag", Field::Tag),
    ("group", Field::Group),
    ("person", Field::Person),
    ("serial", Field::Serial),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

const RELATIONS: [(&str, Relation); 6] = [
    ("=", Relation::Equal),
    ("!=", Relation::NotEqual),
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("<", Relation::Less),
    (">", Relation::More),
];

/// A version by its numbers: `17` is `17.0` is `17.0.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(Vec<u32>);

impl Version {
    /// One to six numbers with dots between; what a device or a store writes behind a space does not count.
    pub fn read(text: &str) -> Option<Version> {
        let first = text.split_whitespace().next()?;
        let mut parts = Vec::new();
        for part in first.split('.') {
            if parts.len() == 6 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            parts.push(part.parse().ok()?);
        }
        Some(Version(parts))
    }

    /// Which is the newer one; numbers that are missing count as 0.
    pub fn compare(&self, other: &Version) -> Ordering {
        let part = |version: &Version, place| version.0.get(place).copied().unwrap_or(0);
        let places = 0..self.0.len().max(other.0.len());
        places
            .map(|place| part(self, place).cmp(&part(other, place)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

/// The platform of a model, by what Apple's devices call themselves (`iPad13,18`); empty when that tells nothing.
pub fn platform(model: &str) -> &'static str {
    const FAMILIES: [(&str, &str); 12] = [
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("iPod", "iOS"),
        ("AppleTV", "tvOS"),
        ("Apple TV", "tvOS"),
        ("RealityDevice", "visionOS"),
        ("Apple Vision", "visionOS"),
        ("Watch", "watchOS"),
        ("Apple Watch", "watchOS"),
        ("Mac", "macOS"),
        ("iMac", "macOS"),
        ("VirtualMac", "macOS"),
    ];
    FAMILIES.iter().find(|(family, _)| model.starts_with(family)).map_or("", |(_, platform)| platform)
}

impl Rule {
    /// Reads a rule; errors say what is wrong, and at which character.
    pub fn parse(text: &str) -> Result<Rule, RuleError> {
        parse::rule(text).map(Rule)
    }

    /// Whether a device is in the group.
    pub fn matches(&self, device: &DeviceFacts) -> bool {
        self.0.matches(device)
    }

    /// The names of people's groups that the rule asks for; those with a `*` are left out.
    pub fn groups(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.0.each(&mut |expression| {
            if let Expression::Text { field: Field::Group, pattern, .. } = expression
                && !pattern.contains('*')
            {
                names.push(pattern.as_str());
            }
        });
        names
    }
}

impl Expression {
    fn matches(&self, device: &DeviceFacts) -> bool {
        match self {
            Expression::All(parts) => parts.iter().all(|part| part.matches(device)),
            Expression::Any(parts) => parts.iter().any(|part| part.matches(device)),
            Expression::Not(part) => !part.matches(device),
            Expression::Supervised => device.supervised == Some(true),
            Expression::Text { field, equal, pattern } => {
                let one = |text: &str| fits(pattern, text);
                let found = match field {
                    Field::Model => device.models.iter().any(|model| one(model)),
                    Field::Platform => one(device.platform),
                    Field::Ownership => one(&device.ownership),
                    Field::Tag => device.tags.iter().any(|tag| one(tag)),
                    Field::Group => device.groups.iter().any(|group| one(group)),
                    Field::Person => one(&device.person),
                    Field::Serial => one(&device.serial),
                };
                found == *equal
            }
            Expression::Os { relation, version } => match Version::read(&device.os) {
                None => *relation == Relation::NotEqual,
                Some(os) => {
                    let order = os.compare(version);
                    match relation {
                        Relation::Equal => order.is_eq(),
                        Relation::NotEqual => order.is_ne(),
                        Relation::Less => order.is_lt(),
                        Relation::AtMost => order.is_le(),
                        Relation::More => order.is_gt(),
                        Relation::AtLeast => order.is_ge(),
                    }
                }
            },
        }
    }

    fn each<'e>(&'e self, visit: &mut impl FnMut(&'e Expression)) {
        visit(self);
        match self {
            Expression::All(parts) | Expression::Any(parts) => parts.iter().for_each(|part| part.each(visit)),
            Expression::Not(part) => part.each(visit),
            _ => {}
        }
    }
}

/// Whether a text is what a pattern says; an absent text (empty) fits no pattern.
fn fits(pattern: &str, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Expression], word: &str| {
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    write!(f, " {word} ")?;
                }
                part.nested(f)?;
            }
            Ok(())
        };
        match self {
            Expression::All(parts) => joined(f, parts, "and"),
            Expression::Any(parts) => joined(f, parts, "or"),
            Expression::Not(part) => {
                f.write_str("not ")?;
                part.nested(f)
            }
            Expression::Supervised => f.write_str("supervised"),
            Expression::Text { field, equal, pattern } => {
                let name = FIELDS.iter().find(|(_, known)| known == field).map_or("", |(name, _)| name);
                write!(f, "{name} {} ", if *equal { "=" } else { "!=" })?;
                if parse::is_word(pattern) { f.write_str(pattern) } else { write!(f, "\"{pattern}\"") }
            }
            Expression::Os { relation, version } => {
                let sign = RELATIONS.iter().find(|(_, known)| known == relation).map_or("", |(sign, _)| sign);
                write!(f, "os {sign} {version}")
            }
        }
    }
}

impl Expression {
    /// As a part of another one.
    fn nested(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::All(_) | Expression::Any(_) => write!(f, "({self})"),
            _ => write!(f, "{self}"),
        }
    }
}

#[cfg(test)]
mod tests;
