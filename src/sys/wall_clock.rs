//! Local time: what people write in files, as seconds since 1970 and back.
#![allow(unsafe_code)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::supervise::timed::Written;

/// The point in time that is meant, if it exists. A time without a date is the next one after `now`.
pub fn meant(written: Written, now: SystemTime) -> Option<SystemTime> {
    let (hour, minute, second) = written.time;
    let mut tm = broken_down(now, written.utc);
    let asked = written.date.unwrap_or((tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday));
    (tm.tm_year, tm.tm_mon, tm.tm_mday) = (asked.0 - 1900, asked.1 - 1, asked.2);
    (tm.tm_hour, tm.tm_min, tm.tm_sec) = (hour, minute, second);
    // Whether it is summer time there is for the library to find out.
    tm.tm_isdst = -1;
    let at = of(&mut tm, written.utc)?;
    // The library makes the 3rd of March of the 31st of February.
    if written.date.is_some_and(|date| date != (tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday)) {
        return None;
    }
    if written.date.is_none() && at <= now {
        tm.tm_mday += 1;
        tm.tm_hour = hour;
        tm.tm_isdst = -1;
        return of(&mut tm, written.utc);
    }
    Some(at)
}

fn of(tm: &mut libc::tm, utc: bool) -> Option<SystemTime> {
    // SAFETY: both only read and normalise the structure they are given.
    let seconds = unsafe { if utc { libc::timegm(tm) } else { libc::mktime(tm) } };
    u64::try_from(seconds).ok().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

fn broken_down(time: SystemTime, utc: bool) -> libc::tm {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as libc::time_t;
    // SAFETY: all-zero is a valid tm, and both functions write only into it.
    unsafe {
        let mut tm = std::mem::zeroed();
        if utc {
            libc::gmtime_r(&seconds, &mut tm)
        } else {
            libc::localtime_r(&seconds, &mut tm)
        };
        tm
    }
}

/// `YYYY-MM-DD HH:MM:SS` in local time.
pub fn iso(time: SystemTime) -> String {
    let tm = broken_down(time, false);
    let date = format!("{:04}-{:02}-{:02}", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    format!("{date} {:02}:{:02}:{:02}", tm.tm_hour, tm.tm_min, tm.tm_sec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn utc(date: Option<(i32, i32, i32)>, time: (i32, i32, i32)) -> Written {
        Written { date, time, utc: true }
    }

    #[test]
    fn a_time_that_has_passed_today_is_tomorrows() {
        // 2026-11-21 12:00:00 UTC
        let now = at(1_795_262_400);
        assert_eq!(meant(utc(None, (12, 0, 1)), now), Some(at(1_795_262_401)));
        assert_eq!(meant(utc(None, (12, 0, 0)), now), Some(at(1_795_262_400 + 86_400)));
    }

    #[test]
    fn a_day_that_does_not_exist_is_no_time() {
        assert_eq!(meant(utc(Some((2026, 2, 29)), (0, 0, 0)), at(0)), None);
        assert_eq!(meant(utc(Some((2028, 2, 29)), (0, 0, 0)), at(0)), Some(at(1_835_395_200)));
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let text = iso(at(1_795_262_400));
        let written = crate::supervise::timed::parse(&text).unwrap();
        assert_eq!(meant(written, at(0)), Some(at(1_795_262_400)));
    }
}
