//! SPIFFE IDs, the names of workloads (SPIFFE ID §2).

/// The longest SPIFFE ID that everybody must accept, in bytes (SPIFFE ID §2.3).
const MAX_BYTES: usize = 2048;

/// The trust domain of a workload: `example.org` of `spiffe://example.org/ci`. `None`: it is no SPIFFE ID, or that of the
/// trust domain itself.
pub(super) fn trust_domain_of(id: &str) -> Option<&str> {
    let (domain, path) = id.strip_prefix("spiffe://")?.split_once('/')?;
    let is_good = id.len() <= MAX_BYTES && is_trust_domain(domain) && path.split('/').all(is_segment);
    is_good.then_some(domain)
}

/// Whether somebody may take the text for a SPIFFE ID, good or not.
pub(super) fn has_its_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("spiffe"))
}

/// Whether it may be the name of a trust domain (SPIFFE ID §2.1).
pub(crate) fn is_trust_domain(name: &str) -> bool {
    let may_be = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    (1..=255).contains(&name.len()) && name.bytes().all(may_be)
}

/// Whether it may stand between two slashes of a path (SPIFFE ID §2.2).
fn is_segment(text: &str) -> bool {
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !matches!(text, "" | "." | "..") && text.bytes().all(may_be)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_of_the_trust_domain_that_its_id_names() {
        let longest = format!("spiffe://example.org/{}", "a".repeat(MAX_BYTES - 21));
        for id in [
            "spiffe://example.org/ci",
            "spiffe://example.org/ns/prod/sa/Runner_1.x-2",
            "spiffe://example.org/...",
            "spiffe://example.org/.a",
            &longest,
        ] {
            assert_eq!(trust_domain_of(id), Some("example.org"), "{id}");
        }
        assert_eq!(trust_domain_of("spiffe://10.0.0.1/a"), Some("10.0.0.1"));
        let widest = "a".repeat(255);
        assert_eq!(trust_domain_of(&format!("spiffe://{widest}/ci")), Some(&*widest));
    }

    #[test]
    fn what_is_no_spiffe_id_of_a_workload_is_of_no_trust_domain() {
        for id in [
            "",
            "spiffe:",
            "spiffe://",
            "spiffe:///ci",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe://example.org//ci",
            "spiffe://example.org/ci/",
            "spiffe://example.org/a//b",
            "spiffe://example.org/.",
            "spiffe://example.org/..",
            "spiffe://example.org/a/./b",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/%2e%2e/b",
            "spiffe://example.org/a%20b",
            "spiffe://example.org/ci?a=b",
            "spiffe://example.org/ci#a",
            "spiffe://example.org/a:b",
            "spiffe://example.org/a@b",
            "spiffe://example.org/a b",
            "spiffe://example.org/a\\b",
            "spiffe://example.org/caf\u{e9}",
            "spiffe://example.org?a=b/ci",
            "spiffe://example.org#a/ci",
            "spiffe://example.org:443/ci",
            "spiffe://user@example.org/ci",
            "spiffe://EXAMPLE.org/ci",
            "spiffe://ex%61mple.org/ci",
            "spiffe://ex\u{e4}mple.org/ci",
            "spiffe://[::1]/ci",
            "SPIFFE://example.org/ci",
            "spiffe:/example.org/ci",
            "https://example.org/ci",
            "system:serviceaccount:ci:runner",
            &format!("spiffe://{}/ci", "a".repeat(256)),
            &format!("spiffe://example.org/{}", "a".repeat(MAX_BYTES - 20)),
        ] {
            assert_eq!(trust_domain_of(id), None, "{id}");
        }
    }

    #[test]
    fn whatever_has_the_scheme_may_be_taken_for_a_spiffe_id() {
        for id in
            ["spiffe://example.org/ci", "SPIFFE://example.org/ci", "Spiffe:x", "spiffe://example.org/../x"]
        {
            assert!(has_its_scheme(id), "{id}");
        }
        for id in ["", "spiffe", "spiffed://example.org/ci", "system:serviceaccount:ci:runner", "x:spiffe:"] {
            assert!(!has_its_scheme(id), "{id}");
        }
    }
}
