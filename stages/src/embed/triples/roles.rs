//! How do the spans of one predicate become a triple? The role rules of KCDP's parser (docs/method.md §2)
//!
//! Spans come left to right with the roles of PropBank (Palmer, Gildea and Kingsbury, 2005). The reference joins
//! repeated spans without a separator; here a space stands between.

use affectflow_models::clip::Triple;

/// What a span is to its predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Who acts.
    Arg0,
    /// The predicate.
    Verb,
    /// Who or what is acted upon.
    Arg1,
    /// Whom it is given to, what it is made into, which state it is in.
    Arg2,
    /// Where, when, how, whether.
    Modifier,
}

/// A predicate's spans in order.
pub type Spans = Vec<(Role, String)>;

/// The triple of a predicate, where all three parts have something in them.
///
/// ARG0 goes to the subject, V to the verb, ARG1 to the subject where that is still empty and else to the object, ARG2
/// to the object. The first modifier becomes the object of a predicate that has none.
pub fn triple(spans: &Spans) -> Option<Triple> {
    let mut triple = Triple { subject: String::new(), verb: String::new(), object: String::new() };
    for (role, span) in spans {
        let part = match role {
            Role::Arg0 => &mut triple.subject,
            Role::Verb => &mut triple.verb,
            Role::Arg1 if triple.subject.is_empty() => &mut triple.subject,
            Role::Arg1 | Role::Arg2 => &mut triple.object,
            Role::Modifier => continue,
        };
        if !part.is_empty() {
            part.push(' ');
        }
        part.push_str(span);
    }
    if triple.object.is_empty() {
        let first = spans.iter().find(|(role, _)| *role == Role::Modifier);
        triple.object = first.map(|(_, span)| span.clone()).unwrap_or_default();
    }
    let whole = [&triple.subject, &triple.verb, &triple.object].iter().all(|part| !part.trim().is_empty());
    whole.then_some(triple)
}

#[cfg(test)]
mod tests {
    use super::Role::{Arg0, Arg1, Arg2, Modifier, Verb};
    use super::*;

    fn check(spans: &[(Role, &str)], expected: Option<[&str; 3]>) {
        let spans: Spans = spans.iter().map(|(role, span)| (*role, span.to_string())).collect();
        let expected =
            expected.map(|[s, v, o]| Triple { subject: s.into(), verb: v.into(), object: o.into() });
        assert_eq!(triple(&spans), expected);
    }

    #[test]
    fn the_rules_one_by_one() {
        check(&[(Arg0, "a"), (Verb, "v"), (Arg1, "b")], Some(["a", "v", "b"]));
        check(&[(Arg1, "b"), (Verb, "v"), (Arg2, "c")], Some(["b", "v", "c"]));
        check(&[(Arg1, "b"), (Arg1, "c"), (Verb, "v")], Some(["b", "v", "c"]));
        check(
            &[(Arg0, "a"), (Arg0, "b"), (Verb, "v"), (Verb, "w"), (Arg1, "c"), (Arg2, "d")],
            Some(["a b", "v w", "c d"]),
        );
        check(&[(Arg0, "a"), (Modifier, "m"), (Verb, "v"), (Modifier, "n")], Some(["a", "v", "m"]));
        check(&[(Arg0, "a"), (Modifier, "m"), (Verb, "v"), (Arg1, "b")], Some(["a", "v", "b"]));
        check(&[(Arg0, "a"), (Verb, "v")], None);
        check(&[(Verb, "v"), (Arg1, "b")], None);
        check(&[(Arg0, "a"), (Arg1, "b")], None);
    }
}
