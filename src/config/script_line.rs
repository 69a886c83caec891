//! Script lines of the draft: the command's arguments, its user and its group.

use super::reader::Spanned;
use super::tree::Statement;
use super::words::{self, ScriptError};
use crate::diag::Span;

/// A script line cut into its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptLine {
    /// The program and its arguments; never empty.
    pub argv: Vec<Vec<u8>>,
    /// Where the command stands.
    pub span: Span,
    /// User and group, where the line names them.
    pub user: Option<UserWords>,
}

/// A user as a line names it: `user`, `user group`, `user :group` or `user :`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserWords {
    /// The user's name.
    pub user: Spanned<String>,
    /// The group's name, without a colon.
    pub group: Option<Spanned<String>>,
    /// A colon asked for the user's supplementary groups.
    pub supplementary: bool,
}

impl UserWords {
    /// From the words of a line.
    pub fn new(user: Spanned<String>, group: Option<Spanned<String>>) -> Self {
        let supplementary = group.as_ref().is_some_and(|group| group.value.starts_with(':'));
        let group = group.map(|group| Spanned::new(group.value.trim_start_matches(':').to_owned(), group.span));
        Self { user, group: group.filter(|group| !group.value.is_empty()), supplementary }
    }
}

/// Why a script line cannot be cut, as a part of a sentence.
pub fn describe(error: ScriptError) -> &'static str {
    match error {
        ScriptError::UnmatchedQuote(_) => "a quote of the command is never closed",
        ScriptError::TrailingBackslash => "the command ends in a backslash",
    }
}

/// Cuts a script line; none where it has no command.
pub fn cut(line: &Statement) -> Result<Option<ScriptLine>, &'static str> {
    let raw = line.raw();
    let words = words::script(&raw).map_err(describe)?;
    let Some(command) = words.get(1) else { return Ok(None) };
    let argv = words::command(&command.bytes).map_err(describe)?;
    if argv.is_empty() {
        return Ok(None);
    }
    let first = line.args.first().map_or(line.keyword.span, |word| word.span);
    // Ranges are of the text after preprocessing; where nothing was substituted they are places in the file, too.
    let place = |word: &words::ScriptWord| {
        let plain = (line.span.end - line.span.start) as usize == raw.len();
        let (start, end) = (word.range.start as u32, word.range.end as u32);
        if plain { Span { start: line.span.start + start, end: line.span.start + end, ..first } } else { first }
    };
    let text = |word: &words::ScriptWord| Spanned::new(String::from_utf8_lossy(&word.bytes).into_owned(), place(word));
    let user = words.get(2).map(|user| UserWords::new(text(user), words.get(3).map(text)));
    Ok(Some(ScriptLine { argv, span: place(command), user }))
}
