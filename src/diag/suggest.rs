//! "Did you mean": the one known word near a misspelt one.

/// The candidate that a misspelt word probably means: the same word in another case, else the nearest. None where there
/// are too many candidates to look at each.
pub(super) fn suggest<'c>(word: &str, candidates: impl Iterator<Item = &'c str> + Clone) -> Option<&'c str> {
    if candidates.clone().nth(MAX_CANDIDATES).is_some() {
        return None;
    }
    let same = candidates.clone().find(|candidate| candidate.eq_ignore_ascii_case(word));
    same.or_else(|| nearest(word, candidates))
}

/// More than a person could have had in mind; no block has as many keywords.
const MAX_CANDIDATES: usize = 1_000;

/// The candidate nearest to `word`, when it is near enough and no other is as near. Distance counts inserted, left-out,
/// replaced and swapped neighbouring letters; a third of the letters may differ, at least one, at most three.
fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(MAX_LENGTH + 1).collect();
    if word.len() > MAX_LENGTH {
        return None;
    }
    let limit = (word.len() / 3).clamp(1, 3);
    let mut best: Option<(usize, &str)> = None;
    let mut is_unique = false;
    for candidate in candidates {
        let distance = distance(&word, candidate);
        if distance > limit || distance >= candidate.chars().count() {
            continue;
        }
        match best {
            Some((near, same)) if distance > near || candidate == same => {}
            Some((near, _)) if distance == near => is_unique = false,
            _ => {
                best = Some((distance, candidate));
                is_unique = true;
            }
        }
    }
    best.filter(|_| is_unique).map(|(_, candidate)| candidate)
}

/// No keyword is as long as this.
const MAX_LENGTH: usize = 64;

/// The optimal string alignment distance, case counting as a difference.
fn distance(word: &[char], candidate: &str) -> usize {
    if candidate.chars().take(word.len() + 4).count().abs_diff(word.len()) > 3 {
        return usize::MAX;
    }
    let candidate: Vec<char> = candidate.chars().collect();
    let width = candidate.len() + 1;
    let mut before_last = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    let mut row = vec![0; width];
    for i in 1..=word.len() {
        row[0] = i;
        for j in 1..width {
            let replaced = last[j - 1] + usize::from(word[i - 1] != candidate[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let is_swap = i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1];
            if is_swap {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_near_keyword_is_suggested() {
        assert_eq!(nearest("cript", ["script", "state", "interval"]), Some("script"));
        assert_eq!(nearest("mtp_server", ["smtp_server", "smtp_alert"]), Some("smtp_server"));
        assert_eq!(nearest("pirority", ["priority", "preempt_delay"]), Some("priority"));
        assert_eq!(nearest("Priority", ["priority"]), Some("priority"));
        assert_eq!(nearest("vrrp_instnace", ["vrrp_instance", "bfd_instance"]), Some("vrrp_instance"));
    }

    #[test]
    fn the_wrong_case_is_a_mistake_and_too_many_candidates_suggest_none() {
        let few = ["A", "B"];
        assert_eq!(suggest("a", few.into_iter()), Some("A"));
        assert_eq!(suggest("a", few.into_iter().cycle().take(MAX_CANDIDATES + 1)), None);
    }

    #[test]
    fn two_equally_near_keywords_suggest_none() {
        assert_eq!(nearest("notify_x", ["notify_a", "notify_b"]), None);
        assert_eq!(nearest("cript", ["script", "script"]), Some("script"));
    }

    #[test]
    fn a_far_or_absurd_word_suggests_none() {
        assert_eq!(nearest("foo", ["priority"]), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("", ["a"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["priority"]), None);
    }
}
