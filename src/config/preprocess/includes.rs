//! Which files are read: the configuration itself and what it includes.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Frame, Preprocessor, Reading};
use crate::config::line::Line;
use crate::config::source::{MAX_FILE_BYTES, ReadError};
use crate::config::text::TextOptions;
use crate::config::tree::Word;
use crate::diag::{Code, Diagnostics, FileId, Span};

/// Files may include each other this deep. keepalived has no limit.
pub const MAX_INCLUDE_DEPTH: usize = 64;

/// A configuration may have this many files; one that is included twice counts twice.
pub const MAX_FILES: usize = 20_000;

/// A configuration may have this many bytes in all its files; one that is included twice counts twice.
pub const MAX_TEXT_BYTES: u64 = 256 << 20;

/// The include statements of a configuration may look for this many names and patterns.
pub const MAX_LOOKUPS: usize = 100_000;

/// An include statement with alternatives in braces may stand for this many patterns.
const MAX_ALTERNATIVES: usize = 4_096;

/// Which problems of an include are errors (`include_check`, `includer` ... `includea`, `-e`); the others are only
/// warned of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IncludeCheck(u8);

impl IncludeCheck {
    /// A match that is unreadable, a directory, executable or irregular.
    pub const READ: Self = Self(1);
    /// A plain name without a match.
    pub const MATCH: Self = Self(2);
    /// A pattern without a match.
    pub const WILDCARD: Self = Self(4);
    /// An alternative in braces without a match.
    pub const BRACE: Self = Self(8);
    /// Everything.
    pub const ALL: Self = Self(15);

    fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What the letter after `include` adds.
    fn form(letter: Option<u8>) -> Self {
        match letter {
            Some(b'r') => Self::READ,
            Some(b'm') => Self::READ.with(Self::MATCH),
            Some(b'w') => Self::READ.with(Self::MATCH).with(Self::WILDCARD),
            Some(b'b') => Self::READ.with(Self::BRACE),
            Some(b'a') => Self::ALL,
            _ => Self::default(),
        }
    }

    fn word(text: &str) -> Option<Self> {
        match text {
            // keepalived: documents "readable" and takes "read".
            "read" | "readable" => Some(Self::READ),
            "match" => Some(Self::MATCH),
            "wildcard_match" => Some(Self::WILDCARD),
            "brace_match" => Some(Self::BRACE),
            _ => None,
        }
    }

    /// Does what the words of an `include_check` say: none is all, a plain one is that (with `read`) and nothing else,
    /// `+word` adds, `-word` removes.
    pub(super) fn apply(&mut self, words: &[Word], diagnostics: &mut Diagnostics) {
        if words.is_empty() {
            *self = Self::ALL;
        }
        let mut had_plain = false;
        for word in words {
            let (sign, name) = match word.text.as_bytes() {
                [sign @ (b'+' | b'-'), ..] => (Some(*sign), &word.text[1..]),
                _ => (None, word.text.as_str()),
            };
            match (sign, Self::word(name)) {
                (Some(b'+'), Some(check)) => *self = self.with(check),
                (Some(_), Some(check)) => self.0 &= !check.0,
                (None, Some(check)) if !had_plain => {
                    *self = Self::READ.with(check);
                    had_plain = true;
                }
                (None, Some(_)) => {
                    diagnostics
                        .warning(Code::BAD_INCLUDE_CHECK, word.span, format!("a second plain word '{name}' is ignored"))
                        .help(format!("write +{name} to check that as well"));
                }
                (_, None) => {
                    diagnostics
                        .warning(Code::BAD_INCLUDE_CHECK, word.span, format!("include_check does not know '{name}'"))
                        .help("it knows read, match, wildcard_match and brace_match, each with + or - before it");
                }
            }
        }
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Loader {
    loaded: HashMap<PathBuf, Result<FileId, ReadError>>,
    files: usize,
    bytes: u64,
    lookups: usize,
    /// One finding about too many files is enough.
    is_full: bool,
}

impl Preprocessor<'_> {
    pub(super) fn open_main(&mut self, main: &str, options: &TextOptions, diagnostics: &mut Diagnostics) {
        let directory = Rc::new(options.working_directory.clone());
        let check = if options.all_config { IncludeCheck::ALL } else { IncludeCheck::default() };
        let patterns = alternatives(main).unwrap_or_else(|| vec![main.to_owned()]);
        let mut paths: Vec<PathBuf> = Vec::new();
        for pattern in &patterns {
            paths.extend(self.files.matches(&directory, pattern));
        }
        if paths.is_empty() {
            // A name with characters of a pattern in it is still a name.
            paths.push(main.into());
        }
        if paths.len() > 1 {
            let message = format!("{} files match '{main}'; all are read, in this order", paths.len());
            diagnostics.warning(Code::SEVERAL_FILES, None, message);
        }
        let mut frames = Vec::new();
        for path in paths.iter().take(MAX_FILES) {
            match self.load(&directory, path) {
                Ok(file) => frames.push(self.frame(file, &directory, path, check, 0)),
                Err(error) => {
                    let message = format!("{}: {}", path.display(), reason(&error));
                    match error {
                        _ if options.all_config => _ = diagnostics.include_error(Code::NO_CONFIGURATION, None, message),
                        // keepalived: a configuration that may be executed is skipped, and a test of it finds nothing.
                        ReadError::Executable => {
                            diagnostics
                                .no_configuration(Code::FILE_REFUSED, false, message)
                                .help(format!("chmod a-x {}", path.display()));
                        }
                        _ => _ = diagnostics.no_configuration(Code::NO_CONFIGURATION, true, message),
                    }
                }
            }
        }
        self.frames.extend(frames.into_iter().rev());
    }

    /// Does an include statement: the files it names are read next.
    pub(super) fn include(
        &mut self,
        line: &Line,
        form: Option<u8>,
        pattern: Range<usize>,
        diagnostics: &mut Diagnostics,
    ) {
        let span = line.span(pattern.clone());
        let pattern = String::from_utf8_lossy(&line.bytes[pattern]).into_owned();
        let Some(reading) = self.reading() else { return };
        let (directory, base, depth) = (Rc::clone(&reading.directory), reading.check, reading.depth + 1);
        let check = base.with(IncludeCheck::form(form));
        if depth > MAX_INCLUDE_DEPTH {
            diagnostics
                .reject(
                    Code::INCLUDE_TOO_DEEP,
                    span,
                    format!("files include each other more than {MAX_INCLUDE_DEPTH} deep"),
                )
                .help("does a file include itself? this include is skipped");
            return;
        }
        let Some(patterns) = alternatives(&pattern) else {
            let message = format!("'{pattern}' stands for more than {MAX_ALTERNATIVES} names");
            diagnostics.reject(Code::TOO_MANY_FILES, span, message).help("the include is skipped");
            return;
        };
        let mut frames = Vec::new();
        for alternative in &patterns {
            self.loader.lookups += 1;
            if !self.may_load(span, diagnostics) {
                break;
            }
            let paths = self.files.matches(&directory, alternative);
            if paths.is_empty() {
                no_match(alternative, patterns.len() > 1, check, span, diagnostics);
            }
            for path in &paths {
                if !self.may_load(span, diagnostics) {
                    break;
                }
                match self.load(&directory, path) {
                    Ok(file) => frames.push(self.frame(file, &directory, path, base, depth)),
                    Err(error) => not_read(path, &error, check, span, diagnostics),
                }
            }
        }
        self.frames.extend(frames.into_iter().rev());
    }

    /// Whether another file may be looked for and read.
    fn may_load(&mut self, span: Span, diagnostics: &mut Diagnostics) -> bool {
        let too_much = match () {
            () if self.loader.files >= MAX_FILES => format!("more than {MAX_FILES} files are included"),
            () if self.loader.bytes >= MAX_TEXT_BYTES => {
                format!("the files have more than {} MiB in all", MAX_TEXT_BYTES >> 20)
            }
            () if self.loader.lookups > MAX_LOOKUPS => {
                format!("the includes stand for more than {MAX_LOOKUPS} names and patterns")
            }
            () => return true,
        };
        if !std::mem::replace(&mut self.loader.is_full, true) {
            diagnostics
                .reject(Code::TOO_MANY_FILES, span, too_much)
                .help("this file and all that would be included after it are skipped");
        }
        false
    }

    fn load(&mut self, directory: &Path, path: &Path) -> Result<FileId, ReadError> {
        let full = directory.join(path);
        if !self.loader.loaded.contains_key(&full) {
            let read = self.files.read(&full).and_then(|bytes| match bytes.len() as u64 {
                length if length > MAX_FILE_BYTES => Err(ReadError::TooLarge(length)),
                _ => Ok(self.sources.add(path.to_string_lossy(), bytes)),
            });
            self.loader.loaded.insert(full.clone(), read);
        }
        let file = self.loader.loaded.get(&full).cloned().unwrap_or(Err(ReadError::NotFound))?;
        self.loader.files += 1;
        self.loader.bytes += self.sources.bytes(file).len() as u64;
        Ok(file)
    }

    fn frame(&self, file: FileId, directory: &Rc<PathBuf>, path: &Path, check: IncludeCheck, depth: usize) -> Frame {
        // keepalived: a name with a slash in it changes the directory that other names start from.
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => Rc::new(directory.join(parent)),
            _ => Rc::clone(directory),
        };
        Frame::File(Reading { file, bytes: self.sources.shared(file), at: 0, directory, check, depth })
    }
}

fn no_match(pattern: &str, in_braces: bool, check: IncludeCheck, span: Span, diagnostics: &mut Diagnostics) {
    let kind = match () {
        () if in_braces => IncludeCheck::BRACE,
        () if pattern.contains(['*', '?', '[']) => IncludeCheck::WILDCARD,
        () => IncludeCheck::MATCH,
    };
    let message = match kind {
        IncludeCheck::MATCH => format!("the file '{pattern}' does not exist"),
        _ => format!("no file matches '{pattern}'"),
    };
    let diagnostic = match check.has(kind) {
        true => diagnostics.include_error(Code::INCLUDE_NO_MATCH, span, message),
        false => diagnostics.lint(Code::INCLUDE_NO_MATCH, span, message),
    };
    match pattern.as_bytes() {
        [b'"', .., b'"'] => _ = diagnostic.help("the rest of the line is the name: write it without quotes"),
        _ if !pattern.starts_with('/') => _ = diagnostic.help("names start at the directory of the including file"),
        _ => {}
    }
}

fn not_read(path: &Path, error: &ReadError, check: IncludeCheck, span: Span, diagnostics: &mut Diagnostics) {
    let message = format!("'{}' is skipped: {}", path.display(), reason(error));
    match error {
        ReadError::TooLarge(_) => _ = diagnostics.reject(Code::FILE_REFUSED, span, message),
        _ if check.has(IncludeCheck::READ) => _ = diagnostics.include_error(Code::FILE_REFUSED, span, message),
        _ => _ = diagnostics.lint(Code::FILE_REFUSED, span, message),
    }
}

fn reason(error: &ReadError) -> String {
    match error {
        ReadError::NotFound => "it does not exist".to_owned(),
        ReadError::Directory => "it is a directory".to_owned(),
        ReadError::Executable => "it has an execute bit".to_owned(),
        ReadError::Irregular => "it is no regular file".to_owned(),
        ReadError::TooLarge(bytes) => format!("it has {bytes} bytes, more than {} MiB", MAX_FILE_BYTES >> 20),
        ReadError::Unreadable(errno) => {
            format!("it cannot be read: {}", std::io::Error::from_raw_os_error(*errno))
        }
    }
}

/// The patterns that a pattern with `{a,b}` alternatives stands for, in the order written, as glob(3) with GLOB_BRACE:
/// `{}` is no alternative, and a brace without its partner is an ordinary character. None where there are too many.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut todo = vec![pattern.to_owned()];
    let mut total = 0;
    while let Some(pattern) = todo.pop() {
        total += pattern.len() + 16;
        if done.len() + todo.len() > MAX_ALTERNATIVES || total > MAX_ALTERNATIVES * 1_024 {
            return None;
        }
        match first_braces(&pattern) {
            None => done.push(pattern),
            Some((open, commas, close)) => {
                let bounds: Vec<usize> = [open].into_iter().chain(commas).chain([close]).collect();
                // The first alternative is looked at first: the stack takes them in reverse.
                for pair in bounds.windows(2).rev() {
                    let choice = &pattern[pair[0] + 1..pair[1]];
                    todo.push([&pattern[..open], choice, &pattern[close + 1..]].concat());
                }
            }
        }
    }
    Some(done)
}

/// The first braces that hold alternatives: the opening one, the commas, the closing one.
fn first_braces(pattern: &str) -> Option<(usize, Vec<usize>, usize)> {
    let bytes = pattern.as_bytes();
    let mut depth = 0;
    let mut open = 0;
    let mut commas = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'{' if bytes.get(at + 1) == Some(&b'}') => at += 1,
            b'{' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            b',' if depth == 1 => commas.push(at),
            b'}' if depth == 1 => return Some((open, commas, at)),
            b'}' if depth > 1 => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_alternatives_in_the_order_written() {
        let expand = |pattern| alternatives(pattern).unwrap();
        assert_eq!(expand("a.conf"), ["a.conf"]);
        assert_eq!(expand("x/{b,a}.c"), ["x/b.c", "x/a.c"]);
        assert_eq!(expand("{a,b}{1,2}"), ["a1", "a2", "b1", "b2"]);
        assert_eq!(expand("{a,b{c,d}}"), ["a", "bc", "bd"]);
        assert_eq!(expand("{a,}x"), ["ax", "x"]);
        assert_eq!(expand("a{b"), ["a{b"]);
        assert_eq!(expand("a{}b"), ["a{}b"]);
        assert_eq!(expand("a\\{b,c}"), ["a\\{b,c}"]);
        assert_eq!(expand("a\\"), ["a\\"]);
    }

    #[test]
    fn alternatives_that_multiply_are_refused() {
        assert_eq!(alternatives(&"{a,b}".repeat(40)), None);
        assert_eq!(alternatives(&"{,".repeat(2_000)).map(|patterns| patterns.len()), Some(1));
    }
}
