//! Reading a rule, word by word: `or` binds least, then `and`, then `not`.

use super::{Expression, FIELDS, Field, RELATIONS, Relation, Version};

/// The longest rule, in characters.
const LONGEST: usize = 2000;
/// The deepest nesting of parentheses and `not`.
const DEEPEST: usize = 40;

/// Why a rule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct RuleError {
    /// Which character of the rule, from 1.
    pub column: usize,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
    Open,
    Close,
}

const SIGNS: &str = "=!<>()\"";
const RESERVED: [&str; 3] = ["and", "or", "not"];

/// Whether a value can stand without quotes.
pub(super) fn is_word(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !SIGNS.contains(c);
    !text.is_empty() && text.chars().all(plain) && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Reads a whole rule.
pub(super) fn rule(text: &str) -> Result<Expression, RuleError> {
    if text.chars().count() > LONGEST {
        return Err(error(LONGEST, format!("the rule is longer than {LONGEST} characters")));
    }
    let tokens = tokens(text)?;
    let end = text.trim_end().chars().count() + 1;
    if tokens.is_empty() {
        return Err(error(1, "the rule is empty; for example: model = \"iPad*\" and supervised"));
    }
    let mut reader = Reader { tokens: &tokens, place: 0, end, depth: 0 };
    let expression = reader.any()?;
    match reader.peek() {
        None => Ok(expression),
        Some(Token::Close) => Err(reader.here("this parenthesis closes nothing")),
        Some(_) => Err(reader.here("expected `and`, `or` or the end of the rule")),
    }
}

fn error(column: usize, message: impl Into<String>) -> RuleError {
    RuleError { column, message: message.into() }
}

/// The words of a rule with their columns.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, RuleError> {
    let mut tokens = Vec::new();
    let mut chars = (1..).zip(text.chars()).peekable();
    while let Some((column, c)) = chars.next() {
        let token = match c {
            c if c.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '=' => Token::Sign("="),
            '!' | '<' | '>' => {
                let with_equal = chars.next_if(|(_, next)| *next == '=').is_some();
                Token::Sign(match (c, with_equal) {
                    ('<', true) => "<=",
                    ('<', false) => "<",
                    ('>', true) => ">=",
                    ('>', false) => ">",
                    (_, true) => "!=",
                    (_, false) => {
                        return Err(error(column, "expected != (for the opposite of a condition, write `not`)"));
                    }
                })
            }
            '"' => {
                let mut value = String::new();
                loop {
                    match chars.next() {
                        Some((_, '"')) => break,
                        Some((column, c)) if c.is_control() => {
                            return Err(error(column, "a control character within quotes"));
                        }
                        Some((_, c)) => value.push(c),
                        None => return Err(error(column, "the quote that begins here does not end")),
                    }
                }
                Token::Quoted(value)
            }
            c if c.is_control() => return Err(error(column, "a control character")),
            c => {
                let mut word = String::from(c);
                while let Some((_, next)) =
                    chars.next_if(|(_, next)| !next.is_whitespace() && !next.is_control() && !SIGNS.contains(*next))
                {
                    word.push(next);
                }
                Token::Word(word)
            }
        };
        tokens.push((column, token));
    }
    Ok(tokens)
}

struct Reader<'t> {
    tokens: &'t [(usize, Token)],
    place: usize,
    /// The column behind the last word.
    end: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.place).map(|(_, token)| token)
    }

    fn next(&mut self) -> Option<&'t Token> {
        let token = self.peek();
        self.place += 1;
        token
    }

    fn here(&self, message: impl Into<String>) -> RuleError {
        error(self.tokens.get(self.place).map_or(self.end, |(column, _)| *column), message)
    }

    fn next_is(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(next)) if next.eq_ignore_ascii_case(word))
    }

    fn any(&mut self) -> Result<Expression, RuleError> {
        self.row("or", Reader::all, Expression::Any)
    }

    fn all(&mut self) -> Result<Expression, RuleError> {
        self.row("and", Reader::one, Expression::All)
    }

    /// Parts with `word` between them; a single part is itself.
    fn row(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expression, RuleError>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression, RuleError> {
        let first = part(self)?;
        if !self.next_is(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.next_is(word) {
            self.place += 1;
            parts.push(part(self)?);
        }
        Ok(join(parts))
    }

    fn one(&mut self) -> Result<Expression, RuleError> {
        if self.depth == DEEPEST {
            return Err(self.here(format!("nested deeper than {DEEPEST} times")));
        }
        self.depth += 1;
        let expression = match self.peek() {
            Some(Token::Open) => {
                self.place += 1;
                let inner = self.any()?;
                match self.peek() {
                    Some(Token::Close) => self.place += 1,
                    _ => return Err(self.here("expected `and`, `or` or a closing parenthesis")),
                }
                inner
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("not") => {
                self.place += 1;
                Expression::Not(Box::new(self.one()?))
            }
            _ => self.condition()?,
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn condition(&mut self) -> Result<Expression, RuleError> {
        let expected = || {
            let names: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
            format!("expected a condition, which begins with supervised, os, {}", names.join(", "))
        };
        let Some(Token::Word(word)) = self.peek() else { return Err(self.here(expected())) };
        let name = word.to_ascii_lowercase();
        if name == "supervised" {
            self.place += 1;
            return self.supervised();
        }
        let field = FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
        if field.is_none() && name != "os" {
            return Err(self.here(format!("\"{}\" is nothing that a rule knows: {}", short(word), expected())));
        }
        self.place += 1;
        let sign = match self.peek() {
            Some(Token::Sign(sign)) => *sign,
            _ => return Err(self.here(format!("expected a sign behind {name}, such as ="))),
        };
        let relation = RELATIONS.iter().find(|(known, _)| *known == sign).map(|(_, relation)| *relation);
        let relation = relation.ok_or_else(|| self.here("expected one of = != < <= > >="))?;
        let Some(field) = field else {
            self.place += 1;
            let version = self.version()?;
            return Ok(Expression::Os { relation, version });
        };
        let equal = match relation {
            Relation::Equal => true,
            Relation::NotEqual => false,
            _ => return Err(self.here(format!("{name} is compared with = or != only; versions of systems are `os`"))),
        };
        self.place += 1;
        let pattern = self.value(&name)?;
        self.check(field, &pattern)?;
        Ok(Expression::Text { field, equal, pattern })
    }

    /// `supervised` alone, or `supervised = yes`.
    fn supervised(&mut self) -> Result<Expression, RuleError> {
        let equal = match self.peek() {
            Some(Token::Sign("=")) => true,
            Some(Token::Sign("!=")) => false,
            Some(Token::Sign(_)) => {
                return Err(self.here("supervised is yes or no; write `supervised` or `not supervised`"));
            }
            _ => return Ok(Expression::Supervised),
        };
        self.place += 1;
        let yes = match self.value("supervised")?.to_ascii_lowercase().as_str() {
            "yes" | "true" => true,
            "no" | "false" => false,
            _ => {
                self.place -= 1;
                return Err(self.here("supervised is yes or no; write `supervised` or `not supervised`"));
            }
        };
        let supervised = Expression::Supervised;
        Ok(if yes == equal { supervised } else { Expression::Not(Box::new(supervised)) })
    }

    fn value(&mut self, name: &str) -> Result<String, RuleError> {
        match self.peek() {
            Some(Token::Quoted(value)) if !value.trim().is_empty() => {
                self.place += 1;
                Ok(value.trim().to_owned())
            }
            Some(Token::Word(value)) if is_word(value) => {
                self.place += 1;
                Ok(value.clone())
            }
            Some(Token::Quoted(_)) => Err(self.here("the text within the quotes is empty")),
            _ => Err(self.here(format!("expected what {name} is compared with, in quotes if it has spaces"))),
        }
    }

    fn version(&mut self) -> Result<Version, RuleError> {
        let version = match self.next() {
            Some(Token::Word(text) | Token::Quoted(text)) => Version::read(text).filter(|_| !text.contains(' ')),
            _ => None,
        };
        version.ok_or_else(|| {
            self.place -= 1;
            self.here("expected a version such as 17.0")
        })
    }

    /// Values of which there are only a few are checked, so that a slip does not make a group that nobody is ever in.
    fn check(&mut self, field: Field, pattern: &str) -> Result<(), RuleError> {
        let known: &[&str] = match field {
            Field::Platform => &["iOS", "macOS", "tvOS", "visionOS", "watchOS"],
            Field::Ownership => &["organisation", "personal", "kiosk"],
            _ => return Ok(()),
        };
        if pattern.contains('*') || known.iter().any(|word| word.eq_ignore_ascii_case(pattern)) {
            return Ok(());
        }
        self.place -= 1;
        Err(self.here(format!("\"{}\" is none of {}", short(pattern), known.join(", "))))
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
