use proptest::prelude::*;

use super::super::PostgresStore;
use super::*;

fn target(text: &str) -> Target {
    parse(text, None).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn mode(text: &str) -> SslMode {
    target(text).config.get_ssl_mode()
}

#[test]
fn without_sslmode_this_machine_needs_no_tls_and_every_other_does() {
    for local in [
        "postgres://u:p@localhost/d",
        "postgresql://u@LocalHost:5433/d",
        "postgres://u@127.0.0.1/d",
        "postgres://u@127.8.9.10:1/d?application_name=a",
        "postgres://u@[::1]:5432/d",
        "postgres://u@[::ffff:127.0.0.1]/d",
        "postgres://u@%2Fvar%2Frun%2Fpostgresql/d",
        "postgres:///d?user=u&host=/var/run/postgresql",
        "postgres://u@localhost/d?hostaddr=127.0.0.1",
        "postgres://u@localhost,127.0.0.1:1,[::1]/d",
        "host=/tmp user=u",
        "host=localhost user=u password='a b'",
        "hostaddr=::1 user=u",
        "host='127.0.0.1,localhost' user=u",
    ] {
        assert_eq!(mode(local), SslMode::Disable, "{local}");
    }
    for remote in [
        "postgres://u:p@db.example/d",
        "postgres://u@10.0.0.1/d",
        "postgres://u@0.0.0.0/d",
        "postgres://u@[fd00::1]/d",
        "postgres://u@localhost.example/d",
        "postgres://u@127.0.0.1.example/d",
        "postgres://u@127.1/d",
        "postgres://localhost:x@db.example/d",
        "postgres://u@localhost,db.example/d",
        "postgres://u@%2Ftmp,db.example/d",
        "postgres://u@localhost/d?host=db.example",
        "postgres://u@localhost/d?hostaddr=10.0.0.1",
        "postgres://u@localhost/d?h%6Fstaddr=10.0.0.1",
        "postgres://u@localhost,localhost/d?hostaddr=127.0.0.1,10.0.0.1",
        "postgres://u@db.example/d?hostaddr=127.0.0.1",
        "host=db.example user=u",
        "host = 'db.example' user=u",
        "host=localhost hostaddr=10.0.0.1 user=u",
        "hostaddr=10.0.0.1 user=u",
    ] {
        assert_eq!(mode(remote), SslMode::Require, "{remote}");
    }
}

#[test]
fn what_asks_for_tls_gets_it_on_this_machine_too() {
    for asking in
        ["sslrootcert=/ca.pem", "sslrootcert=system", "sslnegotiation=direct", "channel_binding=require"]
    {
        for text in [format!("postgres://u@localhost/d?{asking}"), format!("host=localhost user=u {asking}")]
        {
            assert_eq!(mode(&text), SslMode::Require, "{text}");
        }
    }
    let of_builder = parse("postgres://u@localhost/d", Some(Path::new("/ca.pem"))).unwrap();
    assert_eq!(of_builder.config.get_ssl_mode(), SslMode::Require);
    assert_eq!(of_builder.root.as_deref(), Some(Path::new("/ca.pem")));
}

#[test]
fn each_sslmode_means_the_same_in_both_forms() {
    for (sslmode, local, remote) in [
        ("disable", SslMode::Disable, SslMode::Disable),
        ("allow", SslMode::Prefer, SslMode::Require),
        ("prefer", SslMode::Prefer, SslMode::Require),
        ("require", SslMode::Require, SslMode::Require),
        ("verify-ca", SslMode::Require, SslMode::Require),
        ("verify-full", SslMode::Require, SslMode::Require),
    ] {
        for (host, expected) in [("localhost", local), ("db.example", remote)] {
            for text in [
                format!("postgres://u:p@{host}/d?sslmode={sslmode}"),
                format!("postgres://u:p@{host}/d?application_name=a&sslmode={sslmode}&keepalives=1"),
                format!("postgres://u:p@{host}/d?%73slmode={}", sslmode.replace('e', "%65")),
                format!("postgres://u:p@{host}/d?sslmode=disable&sslmode={sslmode}"),
                format!("host={host} user=u password=p dbname=d sslmode={sslmode}"),
                format!("sslmode = '{sslmode}' host={host} user=u password=p dbname=d"),
            ] {
                let Target { config, .. } = target(&text);
                assert_eq!(config.get_ssl_mode(), expected, "{text}");
                assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("d")), "{text}");
                assert_eq!(config.get_password(), Some(&b"p"[..]), "{text}");
            }
        }
    }
}

#[test]
fn a_root_is_percent_encoded_in_a_url_and_quoted_in_pairs() {
    for (text, root) in [
        ("postgres://u@h/d?sslrootcert=/a%20b/ca%25.pem&application_name=a", "/a b/ca%.pem"),
        ("host=h user=u sslrootcert='/a b/it\\'s.pem' application_name=a", "/a b/it's.pem"),
        ("host=h user=u sslrootcert=/a\\ b/ca%20.pem application_name=a", "/a b/ca%20.pem"),
    ] {
        let Target { config, root: read } = target(text);
        assert_eq!(read.as_deref(), Some(Path::new(root)), "{text}");
        assert_eq!(config.get_application_name(), Some("a"), "{text}");
    }
    assert_eq!(target("postgres://u@h/d?sslrootcert=system").root, None);
    let both = parse("postgres://u@h/d?sslrootcert=/of-url.pem", Some(Path::new("/of-builder.pem"))).unwrap();
    assert_eq!(both.root.as_deref(), Some(Path::new("/of-builder.pem")));
}

#[test]
fn a_password_is_read_as_tokio_postgres_reads_it() {
    for (text, password) in [
        ("postgres://u:a?sslmode=disable&b@db.example/d", "a?sslmode=disable&b"),
        ("postgres://u:%40%3f%27@db.example/d", "@?'"),
        (r"host=db.example user=u password='sslmode=disable \'\\ x'", r"sslmode=disable '\ x"),
        (r"host=db.example user=u password=sslmode\ =disable\'", "sslmode =disable'"),
        ("host=db.example user=u password=''", ""),
    ] {
        let Target { config, .. } = target(text);
        assert_eq!(config.get_password(), Some(password.as_bytes()), "{text}");
        assert_eq!(config.get_ssl_mode(), SslMode::Require, "{text}");
    }
}

#[test]
fn an_error_does_not_show_the_password() {
    for text in [
        "postgres://u:hunter2@h:port/d?sslmode=maybe",
        "postgres://u:hunter2@h:port/d",
        "postgres://u:x@hunter2@h/d",
        "postgres://u:x@a/hunter2@h/d",
        "postgres://u:hunter2@h/d?unknown=1",
        "host=h password=hunter2 sslmode=maybe",
        "host=h password='hunter2",
        "host=h password=a hunter2",
    ] {
        let error = parse(text, None).map(|target| panic!("{text}: {target:?}")).unwrap_err();
        let shown = format!("{:?}", explain(error, text));
        assert!(!shown.contains("hunter2"), "{text}: {shown}");
    }
}

#[test]
fn the_hosts_are_all_that_is_shown() {
    let shown = hosts(&target("postgres://u:p@db.example,localhost/d?hostaddr=10.0.0.1,::1").config);
    assert_eq!(shown, "db.example, localhost, 10.0.0.1, ::1");
}

#[test]
fn an_unknown_option_is_named_only_where_it_is_one_of_libpq() {
    let said = |text: &str| format!("{:?}", parse(text, None).unwrap_err());
    assert!(said("postgres://u@h/d?sslcert=/c.pem").contains("sslcert"));
    assert!(said("postgres://u@h/d?connect_timeout=soon").contains("connect_timeout"));
    assert!(!said("postgres://u:a@h/d?hunter2=1").contains("hunter2"));
    assert!(!said("host=h user=u password=a hunter2=1").contains("hunter2"));
}

#[test]
fn a_quote_in_the_wrong_place_does_not_show_the_password_as_a_host() {
    for text in [
        "host='h user=u password=hunter2' dbname=d",
        "host='/run/postgresql password = hunter2'",
        "host=h user='u password=hunter2'",
        "host=h dbname='d password=hunter2'",
    ] {
        let refused = format!("{:?}", parse(text, None).unwrap_err());
        assert!(refused.contains("quote") && !refused.contains("hunter2"), "{refused}");
    }
    assert!(parse("host=/run/pg=1 dbname=d", None).is_ok(), "a folder may contain `=`");
}

/// Connection strings around a password that was not encoded or quoted.
const AROUND: [(&str, &str); 13] = [
    ("postgres://u:", "@h/d"),
    ("postgresql://u:", "@h:5432/d?sslmode=require"),
    ("postgres://u:", "@h:port/d"),
    ("postgres://u:", "@h/d?unknown=1"),
    ("postgres://u:", "@h/d?sslmode=maybe&keepalives=x"),
    ("postgres://u:", "@"),
    ("postgres:/u:", "@h/d"),
    ("u:", "@h/d"),
    ("host=h user=u password=", " dbname=d"),
    ("host=h user=u password='", "' port=x"),
    ("host=h user=u password='", ""),
    ("host=h user=u password = ", " sslmode=maybe"),
    ("user=u password=x ", "=1"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn attack_a75_no_error_and_no_builder_shows_a_password(
        around in proptest::sample::select(&AROUND[..]),
        before in "[!-~]{0,6}",
        after in "[!-~é]{0,6}",
        // Another part is wrong too.
        noise in proptest::option::of((any::<prop::sample::Index>(), "[ -~]")),
    ) {
        let mut text = format!("{}{before}hunter2{after}{}", around.0, around.1);
        if let Some((place, noise)) = noise {
            // The password must not contain the text that is looked for.
            let password = text.find("hunter2").unwrap_or_default();
            let place = place.index(text.len());
            if text.is_char_boundary(place) && !(password..password + 7).contains(&place) {
                text.insert_str(place, &noise);
            }
        }
        let builder = format!("{:?}", PostgresStore::builder(&text));
        prop_assert!(!builder.contains("hunter2"), "{}", builder);
        match parse(&text, None) {
            // Only the hosts are shown.
            Ok(target) => prop_assert!(!hosts(&target.config).contains("hunter2"), "{text}"),
            Err(fault) => {
                let fault = explain(fault, &text);
                let shown = format!("{fault:?} {fault} {}", fault.source().map(ToString::to_string).unwrap_or_default());
                prop_assert!(!shown.contains("hunter2"), "{text}: {shown}");
                prop_assert!(fault.source().is_none_or(|source| source.source().is_none()));
            }
        }
    }
}
