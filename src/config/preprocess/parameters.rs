//! `$NAME=` definitions, the predefined parameters, and their uses in a line.

use std::collections::HashMap;
use std::rc::Rc;

use crate::config::line::{self, Line, braced_parameter, identifier, is_blank};
use crate::diag::{Code, Diagnostics, Span};

/// What a parameter stands for.
#[derive(Clone, Debug)]
pub(super) enum Definition {
    /// `$NAME=value`; parameters inside the value are replaced when it is used.
    Value { text: Rc<[u8]>, span: Span },
    /// A definition of several lines.
    Lines { lines: Rc<[Line]>, span: Span },
}

/// What the predefined parameters need to know.
pub(super) trait Surroundings {
    /// `${_PWD}`.
    fn directory(&mut self) -> Vec<u8>;
    /// `${_ENV NAME}`.
    fn environment(&mut self, name: &str) -> Vec<u8>;
}

/// All parameters defined so far.
#[derive(Debug)]
pub(super) struct Parameters {
    defined: HashMap<Box<[u8]>, Definition>,
    config_id: Vec<u8>,
    random: u64,
}

/// The names that need no definition. A definition of the same name goes first.
const PREDEFINED: &[&[u8]] = &[b"_PWD", b"_INSTANCE", b"_RANDOM", b"_ENV", b"_HASH", b"_BANG"];

/// A use of a parameter in a line.
struct Use<'a> {
    /// Of the whole use.
    length: usize,
    name: &'a [u8],
    arguments: &'a [u8],
    braced: bool,
}

/// The use that begins with the `$` at the start of `bytes`: `${NAME arguments}`, or `$NAME` before a blank, `,`, `)` or
/// the end of the line.
fn use_at(bytes: &[u8]) -> Option<Use<'_>> {
    if let Some((length, inner)) = braced_parameter(bytes) {
        let (name, arguments) = inner.split_at(identifier(inner));
        return Some(Use { length, name, arguments, braced: true });
    }
    let after = bytes.strip_prefix(b"$")?;
    let length = identifier(after);
    let ends = matches!(after.get(length), None | Some(b' ' | b'\t' | b',' | b')'));
    (length > 0 && ends).then(|| Use { length: length + 1, name: &after[..length], arguments: &[], braced: false })
}

/// The name that a line defines, with the offset of its value: `$NAME=` without a blank before `=`.
pub(super) fn definition(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let after = bytes.strip_prefix(b"$")?;
    let (name, rest) = after.split_at(identifier(after));
    (!name.is_empty() && rest.first() == Some(&b'=')).then_some((name, name.len() + 2))
}

impl Parameters {
    pub(super) fn new(config_id: &str, random_seed: u64) -> Self {
        Self { defined: HashMap::new(), config_id: config_id.into(), random: random_seed }
    }

    pub(super) fn config_id(&self) -> &[u8] {
        &self.config_id
    }

    /// Defines a parameter, instead of what it was before.
    pub(super) fn define(&mut self, name: &[u8], definition: Definition) {
        match self.defined.get_mut(name) {
            Some(before) => *before = definition,
            None => _ = self.defined.insert(name.into(), definition),
        }
    }

    /// A use of a multi-line definition at the end of the line: where it begins, and the lines.
    pub(super) fn lines_at_end(&self, bytes: &[u8]) -> Option<(usize, Rc<[Line]>)> {
        let at = bytes.iter().rposition(|&b| b == b'$')?;
        let used = use_at(&bytes[at..]).filter(|used| used.length == bytes.len() - at && used.arguments.is_empty())?;
        match self.defined.get(used.name)? {
            Definition::Lines { lines, .. } => Some((at, Rc::clone(lines))),
            Definition::Value { .. } => None,
        }
    }

    /// Replaces every use in the line once; none where there is nothing to replace. The result may be as long as
    /// `limit` bytes and one value more.
    pub(super) fn replace(
        &mut self,
        line: &Line,
        limit: usize,
        around: &mut dyn Surroundings,
        diagnostics: &mut Diagnostics,
    ) -> Option<Line> {
        let bytes = &line.bytes;
        let mut out: Option<Line> = None;
        let mut copied = 0;
        let mut at = 0;
        while let Some(skip) = bytes[at..].iter().position(|&b| b == b'$') {
            at += skip;
            let Some(used) = use_at(&bytes[at..]) else {
                at += 1;
                continue;
            };
            let end = at + used.length;
            let span = line.span(at..end);
            if let Some(value) = self.value(&used, span, around, diagnostics) {
                let out = out.get_or_insert_with(|| Line::like(line));
                out.push_line(line, copied..at);
                out.push_expansion(&value, span);
                copied = end;
                if out.bytes.len() > limit {
                    break;
                }
                at = end;
            } else {
                at += 1;
            }
        }
        if let Some(out) = &mut out {
            out.push_line(line, copied..bytes.len());
        }
        out
    }

    fn value(
        &mut self,
        used: &Use<'_>,
        span: Span,
        around: &mut dyn Surroundings,
        diagnostics: &mut Diagnostics,
    ) -> Option<Rc<[u8]>> {
        let mut arguments = used.arguments.split(|&b| is_blank(b)).filter(|word| !word.is_empty());
        if let Some(definition) = self.defined.get(used.name) {
            return match definition {
                Definition::Value { text, .. } if arguments.next().is_none() => Some(Rc::clone(text)),
                _ => None,
            };
        }
        let (first, second, third) = (arguments.next(), arguments.next(), arguments.next());
        match (used.name, first, second, third) {
            (b"_PWD", None, _, _) => Some(around.directory().into()),
            (b"_INSTANCE", None, _, _) => Some(self.config_id.as_slice().into()),
            (b"_HASH", None, _, _) => Some((*b"#").into()),
            (b"_BANG", None, _, _) => Some((*b"!").into()),
            (b"_ENV", Some(name), None, _) => Some(around.environment(std::str::from_utf8(name).ok()?).into()),
            (b"_RANDOM", min, max, None) => {
                let min = min.map_or(Some(0), digits)?;
                let mut max = max.map_or(Some(32_767), digits)?;
                if min > max {
                    diagnostics
                        .error(Code::PARAMETER_ARGUMENTS, span, format!("the least value {min} is above {max}"))
                        .help(format!("{min} is used"));
                    max = min;
                }
                Some(self.random_between(min, max).to_string().into_bytes().into())
            }
            _ => None,
        }
    }

    /// Steele, Lea and Flood's SplitMix64: the same seed gives the same configuration in every process.
    fn random_between(&mut self, min: u32, max: u32) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        u64::from(min) + z % (u64::from(max - min) + 1)
    }

    /// Says why the uses that are left in a line were not replaced. Inside double quotes a `${NAME}` that nobody defined
    /// may be meant for a shell.
    pub(super) fn report_unreplaced(&self, line: &Line, diagnostics: &mut Diagnostics) {
        let mut quoted = false;
        let mut at = 0;
        while let Some(&byte) = line.bytes.get(at) {
            quoted ^= byte == b'"';
            let used = if byte == b'$' { use_at(&line.bytes[at..]) } else { None };
            let Some(used) = used else {
                at += 1;
                continue;
            };
            let span = line.span(at..at + used.length);
            at += used.length;
            let name = String::from_utf8_lossy(used.name);
            match self.defined.get(used.name) {
                Some(Definition::Value { span: defined, .. }) => {
                    diagnostics
                        .error(Code::PARAMETER_ARGUMENTS, span, format!("parameter '{name}' takes no arguments"))
                        .label(*defined, "defined here");
                }
                Some(Definition::Lines { span: defined, .. }) => {
                    diagnostics
                        .lint(
                            Code::PARAMETER_ARGUMENTS,
                            span,
                            format!("parameter '{name}' has several lines and is only replaced at the end of a line"),
                        )
                        .label(*defined, "defined here");
                }
                None if PREDEFINED.contains(&used.name) => {
                    diagnostics
                        .error(Code::PARAMETER_ARGUMENTS, span, format!("these arguments do not fit '{name}'"))
                        .help(match used.name {
                            b"_ENV" => "write ${_ENV NAME} with the name of an environment variable",
                            b"_RANDOM" => "write ${_RANDOM}, ${_RANDOM min} or ${_RANDOM min max} with plain numbers",
                            _ => "write it without arguments",
                        });
                }
                None if used.braced && !quoted => {
                    let names = self.defined.keys().filter_map(|key| std::str::from_utf8(key).ok());
                    let help = match diagnostics.suggest(&name, names) {
                        Some(near) => format!("did you mean ${{{near}}}?"),
                        None => format!("define it above with ${name}=value"),
                    };
                    let message = format!("parameter '{name}' is not defined here");
                    diagnostics.error(Code::UNDEFINED_PARAMETER, span, message).help(help);
                }
                None => {}
            }
        }
    }

    /// Where the parameter that is used first in a line was defined, for a finding about that line.
    pub(super) fn first_definition(&self, line: &Line) -> Option<(Span, String)> {
        let at = (0..line.bytes.len()).find(|&at| use_at(&line.bytes[at..]).is_some())?;
        let used = use_at(&line.bytes[at..])?;
        match self.defined.get(used.name)? {
            Definition::Value { span, .. } | Definition::Lines { span, .. } => {
                Some((*span, format!("'{}' is defined here", String::from_utf8_lossy(used.name))))
            }
        }
    }
}

fn digits(word: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(word).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The second removal of comments: only what a parameter brought in can begin one, because the rest was looked at
/// before.
pub(super) fn strip_expanded_comment(line: Line) -> Line {
    if !line.bytes.iter().any(|b| matches!(b, b'#' | b'!')) {
        return line;
    }
    line::strip_comment(&line, |at| line.is_expanded(at)).0
}
