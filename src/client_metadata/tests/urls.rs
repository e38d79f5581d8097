//! Which client ids are URLs of documents.

use proptest::prelude::*;

use super::super::client_url::ClientUrl;
use super::*;

fn refused(text: &str) -> &'static str {
    match ClientUrl::parse(&id(text)) {
        Err(ClientDocumentError::NotAClientUrl(reason)) => reason,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn row_l13_a_client_url_is_https_with_a_path_and_nothing_that_hides_where_it_leads() {
    for good in [
        "https://claude.ai/oauth/client.json",
        "https://client.example/",
        "https://client.example:8443/app",
        "https://client.example/app?version=2",
        "https://client.example/app?next=/../",
        "https://client.example/a/.well-known/b..c/...",
        "https://xn--bcher-kva.example/app",
        "https://client.example/%7Eapp/a%2Fb",
        "https://client.example/users/@me",
        "https://[2606:4700::1111]/app",
    ] {
        assert!(ClientUrl::parse(&id(good)).is_ok(), "{good}");
        assert!(MetadataClients::is_metadata_client_id(&id(good)), "{good}");
    }
    for (bad, reason) in [
        ("http://client.example/app", "it does not begin with https://"),
        ("HTTPS://client.example/app", "it does not begin with https://"),
        ("sp_bridge", "it does not begin with https://"),
        ("https://client.example", "it has no path"),
        ("https://client.example?app", "it has no path"),
        ("https://client.example/app#", "it has a fragment"),
        ("https://client.example/app#top", "it has a fragment"),
        ("https://me@client.example/app", "it has a user or a password"),
        ("https://:secret@client.example/app", "it has a user or a password"),
        ("https://@client.example/app", "it has a user or a password"),
        ("https://claude.ai@evil.example/app", "it has a user or a password"),
        ("https://client.example/./app", "its path has a segment `.` or `..`"),
        ("https://client.example/a/../app", "its path has a segment `.` or `..`"),
        ("https://client.example/a/..", "its path has a segment `.` or `..`"),
        ("https://client.example/a/%2e%2E/app", "its path has a segment `.` or `..`"),
        ("https://client.example/a/.%2e?x", "its path has a segment `.` or `..`"),
        ("https://client.example/%2E", "its path has a segment `.` or `..`"),
        ("https:///app", "it is not in normal form"),
        ("https://Client.example/app", "it is not in normal form"),
        ("https://client.example:443/app", "it is not in normal form"),
        ("https://client.example:/app", "it is not in normal form"),
        ("https://client.example:08443/app", "it is not in normal form"),
        ("https://client%2eexample/app", "it is not in normal form"),
        ("https://evil.example\\client.example/app", "it is not in normal form"),
        ("https://client.example/app\\..\\b", "it is not in normal form"),
        ("https://client.example/<app>", "it is not in normal form"),
        ("https://client.example/a|b", "it has a character that a URI does not allow"),
        ("https://client.example/a%zz", "it has a character that a URI does not allow"),
        ("https://client.example/a%2", "it has a character that a URI does not allow"),
        ("https://client.example./app", "its host is not a plain host name"),
        ("https://*.client.example/app", "its host is not a plain host name"),
        ("https://claude.ai;a.evil.example/app", "its host is not a plain host name"),
        ("https://claude.ai!a.evil.example/app", "its host is not a plain host name"),
        ("https://client.example:99999/app", "it is not a URL"),
        ("https://[::1/app", "it is not a URL"),
        ("https://cli_ent^.example/app", "it is not a URL"),
    ] {
        assert_eq!(refused(bad), reason, "{bad}");
    }
}

#[tokio::test]
async fn row_l13_only_hosts_on_the_list_are_asked_byte_for_byte() {
    let scene = Scene::with(lenient()).await;
    let port = scene.server.port();
    let listed = lenient_for(&format!("client.example:{port}"));
    let clients = gateway(listed, &scene.dns, &scene.clock);
    scene.serve(&scene.document(&json!({})));
    assert_eq!(clients.find(&scene.id()).await.unwrap().host(), format!("client.example:{port}"));
    for other in
        ["client.example", "www.client.example", "example", "client.example:1", "evil-client.example"]
    {
        let other = id(&format!("https://{other}/app.json"));
        assert_eq!(clients.find(&other).await, Err(ClientDocumentError::HostNotAllowed), "{other}");
    }
    assert_eq!(scene.server.connections(), 1);
    assert_eq!(scene.dns.asked(), 1, "no name is looked up for a host that is not listed");
}

fn lenient_for(host: &str) -> ClientMetadata {
    let open = lenient();
    ClientMetadata { hosts: ClientMetadata::from_hosts([host]).hosts, ..open }
}

#[test]
fn settings_that_could_not_be_meant_are_refused() {
    let refused = |settings: ClientMetadata| {
        let resolver = Arc::new(Dns::always("127.0.0.1"));
        MetadataClients::with_resolver(settings, HostClock::default(), resolver).unwrap_err().to_string()
    };
    for host in
        ["", "Claude.ai", "https://claude.ai", "claude.ai/", "*.claude.ai", "claude.ai.", "me@claude.ai"]
    {
        let told = refused(ClientMetadata::from_hosts([host]));
        assert!(told.contains("the host of clients"), "{host}: {told}");
    }
    let open = ClientMetadata::open;
    for (settings, told) in [
        (open().cache(0, Duration::from_secs(60)), "ClientMetadata::cache"),
        (open().cache(10, Duration::from_secs(59)), "ClientMetadata::cache"),
        (open().cache(10, Duration::from_secs(86_401)), "ClientMetadata::cache"),
        (open().timeout(Duration::ZERO), "ClientMetadata::timeout"),
        (open().timeout(Duration::from_secs(61)), "ClientMetadata::timeout"),
        (open().root_certificate_pem("no certificate"), "no TLS client could be made"),
    ] {
        assert!(refused(settings).contains(told), "{told}");
    }
}

proptest! {
    #[test]
    fn parsing_a_client_url_never_panics_and_what_it_takes_is_fetched_as_it_was_sent(
        text in prop_oneof![any::<String>(), "https://[a-zA-Z0-9.:@\\[\\]\\\\%/?#_~-]{0,60}"],
    ) {
        if let Ok(id) = ClientId::parse(&text)
            && let Ok(url) = ClientUrl::parse(&id)
        {
            prop_assert_eq!(url.url().as_str(), &text);
            prop_assert!(url.url().username().is_empty() && url.url().password().is_none());
            prop_assert!(url.url().fragment().is_none() && url.url().scheme() == "https");
        }
    }
}
