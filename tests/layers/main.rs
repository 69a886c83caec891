//! The shape of the source: imports go down the list of `src/lib.rs`, every module has a floor, and what belongs to
//! one floor is not found on another.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file and the module of `src/lib.rs` that it belongs to.
struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

/// The modules of the table in `src/lib.rs`, top first, each with its floor.
fn floors() -> Vec<(u32, String)> {
    let text = fs::read_to_string(root().join("lib.rs")).expect("src/lib.rs");
    let mut floors = Vec::new();
    for row in text.lines().filter_map(|l| l.strip_prefix("//! | ")) {
        let Some(floor) = row.split(' ').next().and_then(|n| n.parse().ok()) else { continue };
        for piece in row.split('[').skip(1) {
            let name = piece.trim_start_matches('`').split(['`', ']']).next().expect("split gives one piece");
            floors.push((floor, name.to_owned()));
        }
    }
    floors
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut directories = vec![root()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory of src").flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(root()).expect("below src");
                let first = inside.iter().next().expect("a file name").to_string_lossy();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).expect("source is text");
                found.push(Source { path, module, text });
            }
        }
    }
    found
}

impl Source {
    /// The lines that are code, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines());
        lines.filter(|(_, l)| !l.trim_start().starts_with("//")).map(|(n, l)| (n, l.split(" // ").next().unwrap_or(l)))
    }

    fn complain(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }

    fn is_crate_root(&self) -> bool {
        self.module == "lib" || self.module == "main"
    }
}

/// The modules that follow `crate::` in a line, also inside `crate::{…}`.
fn imported(line: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group.split(',').map(|piece| word(piece.trim_start()))),
            None => names.push(word(rest)),
        }
    }
    names.retain(|n| !n.is_empty());
    names
}

fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_table_lists_every_module() {
    let floors = floors();
    assert!(floors.len() > 5, "the table of src/lib.rs was not understood: {floors:?}");
    let missing = sources().into_iter().filter(|s| !s.is_crate_root());
    let missing = missing.filter(|s| !floors.iter().any(|(_, name)| *name == s.module));
    none(missing.map(|s| s.complain(1, "its module has no floor in the table of src/lib.rs")).collect());
}

#[test]
fn imports_only_go_down() {
    let floors = floors();
    let place = |module: &str| floors.iter().position(|(_, name)| name == module);
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !s.is_crate_root()) {
        let own = place(&source.module);
        for (number, line) in source.code() {
            for name in imported(line).iter().filter(|n| place(n) > own) {
                complaints.push(source.complain(number, &format!("{} must not know {name}", source.module)));
            }
        }
    }
    none(complaints);
}

#[test]
fn only_hands_touch_the_world() {
    let floors = floors();
    // From floor to floor; engines must give the same run for the same seed, so nothing in them has a random order.
    let worldly = [
        (0..=3, "tokio::"),
        (0..=3, "std::process"),
        (0..=3, "std::fs"),
        (0..=3, "SystemTime"),
        (0..=3, "std::time::Instant"),
        (0..=3, "nix::"),
        (2..=2, "HashMap"),
        (2..=2, "HashSet"),
    ];
    // The words for error numbers ask nobody, and `std::os::unix` is another word.
    let harmless = |line: &str| line.replace("nix::errno", "").replace("unix::", "");
    let mut complaints = Vec::new();
    for source in sources() {
        let Some((floor, _)) = floors.iter().find(|(_, name)| *name == source.module) else { continue };
        for (number, line) in source.code() {
            let line = harmless(line);
            for (_, word) in worldly.iter().filter(|(floors, word)| floors.contains(floor) && line.contains(word)) {
                complaints.push(source.complain(number, &format!("{word} on floor {floor}")));
            }
        }
    }
    none(complaints);
}

/// A daemon has a log; what was printed to find a bug stays out.
#[test]
fn only_the_command_line_prints() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| s.module != "cli") {
        for (number, line) in source.code() {
            if ["print!(", "println!(", "dbg!("].iter().any(|word| line.contains(word)) {
                complaints.push(source.complain(number, "it prints"));
            }
        }
    }
    none(complaints);
}

#[test]
fn unsafe_code_is_in_sys_only_and_says_why_it_is_sound() {
    let mut complaints = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code() {
            let code = line.replace("unsafe_code", "");
            if !code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe") {
                continue;
            }
            if source.module != "sys" {
                complaints.push(source.complain(number, "unsafe outside src/sys"));
            } else if !lines[number.saturating_sub(6)..number].iter().any(|l| l.contains("SAFETY:")) {
                complaints.push(source.complain(number, "unsafe without a SAFETY: line"));
            }
        }
    }
    none(complaints);
}
