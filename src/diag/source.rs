//! Files and places in them.

use std::sync::{Arc, OnceLock};

/// A file of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A run of bytes in one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The bytes of every file read, for showing the line a span lies in.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

#[derive(Debug)]
struct SourceFile {
    name: String,
    /// Shared, so that a reader can walk a file while others are added.
    bytes: Arc<Vec<u8>>,
    /// Offset of each line's first byte, computed when the first place is asked for.
    line_starts: OnceLock<Vec<u32>>,
}

/// A place for people: file, 1-based line and column, and the line's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file's name as written in the include statement or on the command line.
    pub file: &'a str,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// The line's bytes, without its end.
    pub bytes: &'a [u8],
    /// Where in the line the place is.
    pub offset: usize,
}

impl Sources {
    /// Adds a file and gives it its number. Bytes past 4 GiB cannot be named by a [`Span`]; readers refuse such files.
    pub fn add(&mut self, name: impl Into<String>, bytes: impl Into<Arc<Vec<u8>>>) -> FileId {
        let id = FileId(self.files.len() as u32);
        self.files.push(SourceFile { name: name.into(), bytes: bytes.into(), line_starts: OnceLock::new() });
        id
    }

    /// The file's name.
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("?", |f| &f.name)
    }

    /// The file's bytes.
    pub fn bytes(&self, file: FileId) -> &[u8] {
        self.files.get(file.0 as usize).map_or(&[], |f| &f.bytes)
    }

    /// The file's bytes, to keep while files are added.
    pub fn shared(&self, file: FileId) -> Arc<Vec<u8>> {
        self.files.get(file.0 as usize).map_or_else(Default::default, |f| Arc::clone(&f.bytes))
    }

    /// How many files were read.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no file was read.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The bytes of a span; empty where it lies outside the file.
    pub fn slice(&self, span: Span) -> &[u8] {
        self.bytes(span.file).get(span.start as usize..span.end as usize).unwrap_or(&[])
    }

    /// Where a span begins.
    pub fn place(&self, span: Span) -> Option<Place<'_>> {
        let file = self.files.get(span.file.0 as usize)?;
        let starts = file.line_starts.get_or_init(|| {
            let ends = file.bytes.iter().enumerate().filter(|&(_, &b)| b == b'\n');
            std::iter::once(0).chain(ends.map(|(i, _)| i as u32 + 1)).collect()
        });
        let line = starts.partition_point(|&s| s <= span.start).max(1);
        let first = starts[line - 1] as usize;
        let end = starts.get(line).map_or(file.bytes.len(), |&next| next as usize);
        let bytes = file.bytes.get(first..end).unwrap_or(&[]);
        let mut line_bytes = bytes;
        while let [shorter @ .., b'\r' | b'\n'] = line_bytes {
            line_bytes = shorter;
        }
        let offset = (span.start as usize).saturating_sub(first).min(line_bytes.len());
        let column = String::from_utf8_lossy(&line_bytes[..offset]).chars().count() + 1;
        Some(Place { file: &file.name, line, column, bytes: line_bytes, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let mut sources = Sources::default();
        let file = sources.add("k.conf", b"a\r\n\xc3\xa9 word\n".to_vec());
        let place = sources.place(Span { file, start: 6, end: 10 }).unwrap();
        assert_eq!((place.line, place.column, place.bytes), (2, 3, "\u{e9} word".as_bytes()));
    }

    #[test]
    fn a_place_past_the_end_is_on_the_last_line() {
        let mut sources = Sources::default();
        let file = sources.add("k.conf", b"a".to_vec());
        assert_eq!(sources.place(Span { file, start: 9, end: 9 }).unwrap().line, 1);
    }
}
