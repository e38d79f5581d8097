//! Nobody makes the gateway fetch from a place that is not public.

use std::net::Ipv6Addr;

use super::super::addresses::Addresses;
use super::super::resolver::CheckedResolver;
use super::*;

/// Listens on every address of this machine, and has a good certificate. Only the gateway's own checks keep it away.
async fn trap() -> Server {
    // A machine may have no IPv6.
    let has_v6 = tokio::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
    let every: IpAddr = if has_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let server = Server::start_at(every, 0).await;
    server.answer(Reply::json("{}"));
    server
}

/// Every spelling of places that are not public, as a WHATWG parser reads them. `PORT` is the trap's.
const LITERALS: [&str; 60] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7F.1",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.0.0.1.",
    "127.0.0.0x1",
    "%31%32%37.0.0.1",
    "0",
    "0.0.0.0",
    "0x0",
    "0.1.2.3",
    "10.0.0.1",
    "0xa000001",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.11010049",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::80ff:fffe]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[100::1]",
];

#[tokio::test]
async fn row_l14_and_attack_a130_no_spelling_of_an_address_that_is_not_public_is_connected_to() {
    let trap = trap().await;
    let dns = Dns::always("127.0.0.1");
    let clients = gateway(strict(), &dns, &Ahead::default());
    for literal in LITERALS {
        let url = format!("https://{literal}:{}/latest/meta-data", trap.port());
        let found = clients.find(&id(&url)).await;
        assert!(
            matches!(
                found,
                Err(ClientDocumentError::Refused(Refusal::AddressNotPublic)
                    | ClientDocumentError::NotAClientUrl(_))
            ),
            "{url}: {found:?}"
        );
    }
    assert_eq!(trap.connections(), 0);
    assert_eq!(dns.asked(), 0);
}

/// Addresses that a hostile name may lead to.
const ANSWERS: [&str; 40] = [
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.255",
    "0.0.0.0",
    "0.0.0.1",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.1.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.251",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::1",
    "2001:0:7f00:1::1",
    "2002:7f00:1::1",
    "fd00:ec2::254",
    "fe80::1",
];

#[tokio::test]
async fn row_l14_and_attack_a130_a_name_that_leads_to_an_address_that_is_not_public_is_not_connected_to() {
    let trap = trap().await;
    for answer in ANSWERS {
        // Alone, and hidden behind or before a public address.
        for answers in [&[answer] as &[&str], &["2606:4700::1111", answer], &[answer, "1.1.1.1"]] {
            let dns = Dns::new(&[answers]);
            let clients = gateway(strict(), &dns, &Ahead::default());
            let url = id(&format!("https://client.example:{}/app.json", trap.port()));
            let refused = Err(ClientDocumentError::Refused(Refusal::AddressNotPublic));
            assert_eq!(clients.find(&url).await, refused, "{answers:?}");
            assert_eq!(dns.asked(), 1, "{answers:?}");
        }
    }
    assert_eq!(trap.connections(), 0);
    // The trap is really there: the same name is fetched from it once its address is allowed.
    let clients = gateway(lenient(), &Dns::always("127.0.0.1"), &Ahead::default());
    let url = id(&format!("https://client.example:{}/app.json", trap.port()));
    assert_eq!(clients.find(&url).await, Err(ClientDocumentError::Refused(Refusal::OtherClientId)));
    assert_eq!(trap.connections(), 1);
}

#[tokio::test]
async fn row_l14_and_attack_a130_names_of_this_machine_and_of_its_network_are_found_and_refused() {
    let trap = trap().await;
    // The operating system's own resolver.
    let clients = MetadataClients::new(strict(), HostClock::default()).unwrap();
    for name in ["localhost", "ip6-localhost", "localhost.localdomain"] {
        let url = id(&format!("https://{name}:{}/app.json", trap.port()));
        let found = clients.find(&url).await;
        assert!(
            matches!(
                found,
                Err(ClientDocumentError::Refused(Refusal::AddressNotPublic)
                    | ClientDocumentError::Unavailable)
            ),
            "{name}: {found:?}"
        );
    }
    let url = id(&format!("https://localhost:{}/app.json", trap.port()));
    assert_eq!(clients.find(&url).await, Err(ClientDocumentError::Refused(Refusal::AddressNotPublic)));
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn row_l14_and_attack_a130_a_name_that_changes_its_address_is_connected_to_only_where_it_was_checked() {
    // 127.0.0.2 stands for a public address. 127.0.0.1 is not allowed.
    let public = Server::start_at([127, 0, 0, 2].into(), 0).await;
    let private = Server::start_at(LOOPBACK, public.port()).await;
    let url = id(&format!("https://client.example:{}/app.json", public.port()));
    public.answer(Reply::json(&with_members(url.as_str(), &json!({})).to_string()));
    let (dns, clock) = (Dns::new(&[&["127.0.0.2"], &["127.0.0.1"]]), Ahead::default());
    let clients = gateway(strict().danger_allow_addresses(["127.0.0.2/32"]), &dns, &clock);
    assert!(clients.find(&url).await.is_ok());
    // The name was looked up once, so the address that was checked is the address that was used.
    assert_eq!((dns.asked(), public.connections(), private.connections()), (1, 1, 0));
    // No connection is left over for a later fetch: the later one checks again.
    clock.advance(Duration::from_secs(24 * 3600));
    let refused = Err(ClientDocumentError::Refused(Refusal::AddressNotPublic));
    assert_eq!(clients.find(&url).await, refused);
    assert_eq!((dns.asked(), public.connections(), private.connections()), (2, 1, 0));
}

#[tokio::test]
async fn row_l14_and_attack_a130_the_second_answer_of_a_resolver_is_checked_like_the_first() {
    let dns = Dns::new(&[&["93.184.215.14"], &["127.0.0.1"]]);
    let resolver = CheckedResolver::new(Arc::new(dns), Arc::new(Addresses::new(Vec::new())));
    let name = || "client.example".parse::<Name>().unwrap();
    let first: Vec<_> = resolver.resolve(name()).await.unwrap().collect();
    // Port 0: the port of the URL counts, and not the one that the resolver named.
    assert_eq!(first, [SocketAddr::from(([93, 184, 215, 14], 0))]);
    assert!(resolver.resolve(name()).await.is_err());
}

#[tokio::test]
async fn row_l14_and_attack_a130_a_redirect_to_this_machine_is_not_followed() {
    let scene = Scene::new().await;
    let trap = trap().await;
    for target in ["https://127.0.0.1", "https://[::1]", "http://127.0.0.1", "https://client.example"] {
        for status in
            ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
        {
            let to = format!("location: {target}:{}/", trap.port());
            scene.server.answer(Reply::status(status, &to));
            assert_eq!(scene.refusal().await, Refusal::Redirect, "{target} {status}");
        }
    }
    assert_eq!(trap.connections(), 0);
    assert_eq!(scene.server.connections(), 16);
}

#[tokio::test]
async fn row_l14_and_attack_a130_a_name_with_many_addresses_is_not_a_scan() {
    let many: Vec<String> = (0..250).map(|last| format!("93.184.215.{last}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let resolver = CheckedResolver::new(Arc::new(Dns::new(&[&many])), Arc::new(Addresses::new(Vec::new())));
    let found = resolver.resolve("client.example".parse().unwrap()).await.unwrap();
    assert_eq!(found.count(), 4);
}

#[test]
fn addresses_of_the_public_internet_may_be_reached() {
    let public = Addresses::new(Vec::new());
    let own = Addresses::new(vec!["10.1.0.0/16".parse().unwrap(), "fd00::/16".parse().unwrap()]);
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "168.63.129.17",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450:4001::1",
    ] {
        assert!(public.may_reach(address.parse().unwrap()), "{address}");
    }
    for (address, is_own) in
        [("10.1.2.3", true), ("fd00::1", true), ("10.2.0.1", false), ("::ffff:10.1.2.3", false)]
    {
        assert!(!public.may_reach(address.parse().unwrap()), "{address}");
        assert_eq!(own.may_reach(address.parse().unwrap()), is_own, "{address}");
    }
}
