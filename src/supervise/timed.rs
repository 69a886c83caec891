//! What stands in a `reload_time_file`: when to reload (`operator-surface.md` §2.4).

/// A point in time as a person writes it. Each number is in its range, but the day may not exist in its month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Year, month from 1, day from 1; none is the next time that the clock shows `time`.
    pub date: Option<(i32, i32, i32)>,
    /// Hour, minute, second.
    pub time: (i32, i32, i32),
    /// `Z`: not local time.
    pub utc: bool,
}

/// Why a text is no time; each is a sentence in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTime {
    /// Not `[[YY]YY-MM-DD ]HH:MM:SS[Z]`.
    Format,
    /// A number is out of its range.
    Range,
}

/// Reads the first line of the file.
pub fn parse(line: &str) -> Result<Written, NoTime> {
    let (text, utc) = line.strip_suffix('Z').map_or((line, false), |text| (text, true));
    let (date, time) = match text.split_once(' ') {
        Some((date, time)) => (Some(date), time),
        None => (None, text),
    };
    let time = numbers(time, ':')?;
    let date = date.map(|date| {
        let (year, month, day) = numbers(date, '-')?;
        // Two digits are a year of this century.
        let short = date.find('-') == Some(2);
        if !short && date.find('-') != Some(4) {
            return Err(NoTime::Format);
        }
        Ok((if short { 2000 + year } else { year }, month, day))
    });
    let date = date.transpose()?;
    let in_range = |(hour, minute, second)| hour < 24 && minute < 60 && second < 60;
    let exists = |(year, month, day)| year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range(time) || !date.is_none_or(exists) {
        return Err(NoTime::Range);
    }
    Ok(Written { date, time, utc })
}

/// Three numbers of digits only, all but the first of exactly two.
fn numbers(text: &str, separator: char) -> Result<(i32, i32, i32), NoTime> {
    let parts: Vec<&str> = text.split(separator).collect();
    let [first, second, third] = parts[..] else { return Err(NoTime::Format) };
    let first_fits = (separator == '-' && first.len() == 4) || first.len() == 2;
    if !first_fits || second.len() != 2 || third.len() != 2 {
        return Err(NoTime::Format);
    }
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse().map_err(|_| NoTime::Format),
        false => Err(NoTime::Format),
    };
    Ok((number(first)?, number(second)?, number(third)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_documented_forms_are_read_with_and_without_z() {
        let time = Written { date: None, time: (23, 59, 1), utc: false };
        assert_eq!(parse("23:59:01"), Ok(time));
        assert_eq!(parse("23:59:01Z"), Ok(Written { utc: true, ..time }));
        let dated = Written { date: Some((2026, 2, 28)), ..time };
        assert_eq!(parse("26-02-28 23:59:01"), Ok(dated));
        assert_eq!(parse("2026-02-28 23:59:01Z"), Ok(Written { utc: true, ..dated }));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", " 10:00:00", "10:00:00 ", "10:00", "1:00:00", "10:00:00z", "026-01-01 10:00:00", "+1:00:00"] {
            assert_eq!(parse(text), Err(NoTime::Format), "{text}");
        }
        for text in ["24:00:00", "10:60:00", "10:00:60", "2026-13-01 10:00:00", "2026-00-01 10:00:00"] {
            assert_eq!(parse(text), Err(NoTime::Range), "{text}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        for text in ["::", "--  ::", "é:é:é", "2026-02-28 ", "Z", " Z", "99999999999-01-01 10:00:00"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
