//! Lines, preprocessor and tree over any bytes. `%%%` on a line of its own begins another file: `1`, `2`, `d/3`, ...
#![no_main]

use keepalived_rs::config::source::{Files, Memory};
use keepalived_rs::config::tree::{MAX_DEPTH, Statement};
use keepalived_rs::config::{Parsed, TextOptions, parse};
use keepalived_rs::diag::render::{self, Style};
use keepalived_rs::diag::{Diagnostics, Sources, Span};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut files = Memory::default();
    files.environment.insert("HOME".into(), "/root ${A}".into());
    for (i, text) in split(data).enumerate() {
        let name = match i {
            0 => "/main.conf".to_owned(),
            _ if i % 3 == 0 => format!("/d/{i}"),
            _ => format!("/{i}"),
        };
        files.files.insert(name.into(), Ok(text.to_vec()));
    }
    let (parsed, diagnostics) = read(&mut files);
    check(&parsed.statements, &parsed.sources, 0);
    for diagnostic in diagnostics.iter() {
        let _ = render::log_line(diagnostic, &parsed.sources);
        let shown = render::one(diagnostic, &parsed.sources, Style::default());
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()));
    }
});

fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let cut = text.windows(5).position(|w| w == b"\n%%%\n");
        rest = cut.map(|at| &text[at + 5..]);
        Some(cut.map_or(text, |at| &text[..at + 1]))
    })
}

fn read(files: &mut dyn Files) -> (Parsed, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let options =
        TextOptions { config_id: "h".into(), random_seed: 7, all_config: false, working_directory: "/".into() };
    (parse(files, "main.conf", &options, &mut diagnostics), diagnostics)
}

fn check(statements: &[Statement], sources: &Sources, depth: usize) {
    assert!(depth <= MAX_DEPTH);
    for statement in statements {
        inside(statement.span, sources);
        for word in std::iter::once(&statement.keyword).chain(&statement.args) {
            inside(word.span, sources);
        }
        if let Some(body) = &statement.body {
            inside(body.open, sources);
            body.close.into_iter().for_each(|close| inside(close, sources));
            check(&body.statements, sources, depth + 1);
        }
    }
}

/// Every place lies in a file.
fn inside(span: Span, sources: &Sources) {
    let length = sources.bytes(span.file).len();
    assert!(span.start <= span.end && span.end as usize <= length, "{span:?} in {length} bytes");
}
