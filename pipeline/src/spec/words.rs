//! How do we say it? Nearest valid names and lists for messages.

/// Longer lists of names are cut in messages, and not searched further for near names.
const MANY: usize = 400;

/// The valid name nearest to what was written, when near enough to be meant.
pub(crate) fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let length = written.chars().count();
    let allowed = if length <= 4 { 1 } else { (length / 3).clamp(2, 4) };
    let mut best: Option<(usize, &str)> = None;
    for name in names.into_iter().take(MANY) {
        if name.chars().count().abs_diff(length) > allowed || length > 100 {
            continue;
        }
        let distance = strsim::osa_distance(&written, &name.to_lowercase());
        if distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    best.map(|(_, name)| name)
}

/// "did you mean `x`?" or else what there is: "options of kind `x`: `a`, `b`".
pub fn suggest<'a>(written: &str, what: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(written, names.clone()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("{what}: {}", list(names)),
    }
}

/// "`a`, `b`, `c`", or "none".
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 30;
    let names: Vec<_> = names.into_iter().take(SHOWN + 1).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n > SHOWN => format!("{}, …", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}

/// "`a`", "`a` or `b`", "`a`, `b` or `c`".
pub(crate) fn either(parts: &[String]) -> String {
    match parts {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [start @ .., last] => format!("{} or {last}", start.join(", ")),
    }
}
