use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::requests::MOST_MAPPINGS;
use crate::requests::allow::tests::terms;
use crate::{Allowed, Service};

fn id(number: u64) -> RequestId {
    format!("{number:016x}").parse().unwrap()
}

fn asked(number: u64, target: &str, port: i64) -> Asked {
    Asked {
        id: id(number),
        target: target.to_owned(),
        port,
        by: "bob".to_owned(),
        asked: number,
        state: Told::Asked,
    }
}

fn service(remote_port: i64) -> Service {
    Service {
        remote_port: remote_port.try_into().unwrap(),
        host: "t".to_owned(),
        port: 80,
        is_open: true,
    }
}

/// The book and the mappings of a client. Port 1 is its own mapping.
struct Scene {
    book: Book,
    mappings: Mappings,
    terms: RequestsConfig,
}

impl Scene {
    fn new(accept: Accept) -> Self {
        Self {
            book: Book::default(),
            mappings: Mappings::new(&[service(1)]),
            terms: RequestsConfig {
                accept,
                ..terms(&[(&["10.0.0.0/8"], "22")], Some("1-9000"))
            },
        }
    }

    fn told(&mut self, list: &[Asked]) -> Change {
        let (mappings, terms) = (&mut self.mappings, &self.terms);
        self.book.told(list.to_vec(), mappings, terms, true)
    }

    fn accept(&mut self, number: u64) -> Result<(), String> {
        let (mappings, terms) = (&mut self.mappings, &self.terms);
        self.book.accept(&id(number), mappings, terms, true)
    }

    fn refuse(&mut self, number: u64, reason: &str) -> Result<bool, String> {
        self.book.refuse(&id(number), reason, &mut self.mappings)
    }

    /// The requested mappings of the table.
    fn mapped(&self) -> Vec<String> {
        let shown = |s: &std::sync::Arc<Service>| format!("{} {}", s.remote_port, s.target());
        self.mappings.requested().map(shown).collect()
    }

    fn posts(&self) -> Vec<String> {
        let shown = |post: Post| match post.decision {
            Decision::Accepted => {
                format!("{} accepted", post.id.to_string().trim_start_matches('0'))
            }
            Decision::Refused(why) => {
                format!(
                    "{} refused: {why}",
                    post.id.to_string().trim_start_matches('0')
                )
            }
        };
        self.book.posts().into_iter().map(shown).collect()
    }

    fn standings(&self) -> Vec<RequestStanding> {
        let states = self.book.states(&self.mappings);
        states.iter().map(|state| state.state).collect()
    }
}

#[test]
fn allowed_requests_are_accepted_and_others_refused_with_a_reason() {
    let mut scene = Scene::new(Accept::Auto);
    let change = scene.told(&[
        asked(1, "10.0.0.1:22", 7000),
        asked(2, "[::ffff:10.0.0.2]:22", 7001),
        asked(3, "127.0.0.1:22", 7002),
        asked(4, "[::ffff:127.0.0.1]:22", 7003),
        asked(5, "10.0.0.1:23", 7004),
        asked(6, "10.0.0.1:22", 9001),
        asked(7, "10.0.0.1:22", 1),
        asked(8, "10.0.0.3:22", 7000),
        asked(9, "host:22", 7005),
        asked(10, "10.0.0.1:22", 70_000),
    ]);
    assert_eq!((change.added, change.withdrawn), (true, vec![]));
    assert_eq!(scene.mapped(), ["7000 10.0.0.1:22", "7001 10.0.0.2:22"]);
    assert_eq!(
        scene.posts(),
        [
            "1 accepted",
            "2 accepted",
            "3 refused: the client does not allow the target 127.0.0.1:22",
            "4 refused: the client does not allow the target [::ffff:127.0.0.1]:22",
            "5 refused: the client does not allow the target 10.0.0.1:23",
            "6 refused: the client does not allow the remote port 9001",
            "7 refused: the remote port 1 belongs to the client's own mappings",
            "8 refused: another request has the remote port 7000",
            "9 refused: the target has to be an IP address and a port, such as 127.0.0.1:22 or [::1]:22",
            "a refused: the port has to be a number from 1 to 65535",
        ]
    );
}

#[test]
fn by_hand_an_allowed_request_waits_and_a_person_decides_once() {
    let mut scene = Scene::new(Accept::ByHand);
    let list = [
        asked(1, "10.0.0.1:22", 7000),
        asked(2, "10.0.0.2:22", 7001),
        asked(3, "127.0.0.1:22", 7002),
        asked(4, "10.0.0.4:22", 7000),
    ];
    assert_eq!(scene.told(&list), Change::default());
    assert_eq!(scene.mapped(), [""; 0]);
    assert_eq!(
        scene.posts(),
        ["3 refused: the client does not allow the target 127.0.0.1:22"]
    );
    assert_eq!(scene.accept(1), Ok(()));
    assert_eq!(scene.refuse(2, "not today"), Ok(false));
    assert_eq!(scene.mapped(), ["7000 10.0.0.1:22"]);
    assert!(scene.accept(1).unwrap_err().contains("accepted already"));
    assert!(
        scene
            .accept(2)
            .unwrap_err()
            .contains("was refused: not today")
    );
    assert!(scene.refuse(2, "").unwrap_err().contains("refused already"));
    assert!(scene.accept(3).unwrap_err().contains("does not allow"));
    assert!(scene.accept(4).unwrap_err().contains("another request has"));
    assert!(scene.accept(5).unwrap_err().contains("there is no request"));
    // Request 1 has the port of request 4, so no person has to decide about 4.
    scene.told(&list);
    let standings = [
        RequestStanding::Accepted,
        RequestStanding::Refused,
        RequestStanding::Refused,
        RequestStanding::Refused,
    ];
    assert_eq!(scene.standings(), standings);
    // An accepted request can be refused too.
    assert_eq!(scene.refuse(1, &"x".repeat(300)), Ok(true));
    assert_eq!(scene.mapped(), [""; 0]);
    let expected = format!("1 refused: {}", "x".repeat(LONGEST_REASON));
    assert_eq!(scene.posts()[0], expected);
}

#[test]
fn a_decision_is_reported_again_until_the_server_knows_it() {
    let mut scene = Scene::new(Accept::Auto);
    let list = [asked(1, "10.0.0.1:22", 7000)];
    scene.told(&list);
    assert_eq!(scene.posts(), ["1 accepted"]);
    // The answer to the post was lost.
    assert_eq!(scene.told(&list), Change::default());
    assert_eq!(scene.posts(), ["1 accepted"]);
    let known = Asked {
        state: Told::Decided,
        ..list[0].clone()
    };
    assert_eq!(scene.told(std::slice::from_ref(&known)), Change::default());
    assert_eq!(scene.posts(), [""; 0]);
    // The control connection has ended, so the server has forgotten the decision.
    assert_eq!(scene.told(&list), Change::default());
    assert_eq!(scene.posts(), ["1 accepted"]);
    assert_eq!(scene.mapped(), ["7000 10.0.0.1:22"]);
}

#[test]
fn a_withdrawn_request_is_removed_and_a_changed_one_waits_again() {
    let mut scene = Scene::new(Accept::ByHand);
    scene.told(&[asked(1, "10.0.0.1:22", 7000), asked(2, "10.0.0.2:22", 7001)]);
    scene.accept(1).unwrap();
    scene.accept(2).unwrap();
    let change = scene.told(&[asked(2, "10.0.0.2:22", 7001)]);
    assert_eq!(change.withdrawn, [7000.try_into().unwrap()]);
    assert_eq!(scene.mapped(), ["7001 10.0.0.2:22"]);
    // The server changes an accepted request: a person has to decide again.
    for other in [
        asked(2, "10.0.0.3:22", 7001),
        asked(2, "10.0.0.3:22", 7002),
        Asked {
            by: "carol".to_owned(),
            ..asked(2, "10.0.0.3:22", 7002)
        },
    ] {
        let change = scene.told(std::slice::from_ref(&other));
        assert_eq!(change.withdrawn.len(), 1);
        assert_eq!(scene.mapped(), [""; 0]);
        assert_eq!(scene.standings(), [RequestStanding::Waiting]);
        scene.accept(2).unwrap();
    }
    // If an id is twice in a list, the first request counts.
    let twice = [asked(3, "10.0.0.1:22", 7000), asked(3, "10.0.0.2:22", 7000)];
    scene.told(&twice);
    scene.accept(3).unwrap();
    assert_eq!(scene.mapped(), ["7000 10.0.0.1:22"]);
}

#[test]
fn a_reload_drops_requested_mappings_that_are_not_allowed_any_more() {
    let mut scene = Scene::new(Accept::Auto);
    scene.told(&[
        asked(1, "10.0.0.1:22", 7000),
        asked(2, "10.1.0.1:22", 7001),
        asked(3, "10.0.0.3:22", 7002),
    ]);
    let narrowed = terms(&[(&["10.0.0.0/16"], "22")], None);
    let services = [service(1), service(7002)];
    let replaced = scene.mappings.replace(&services, Some(&narrowed), true);
    let reasons = [
        (
            id(3),
            "the remote port 7002 belongs to the client's own mappings".to_owned(),
        ),
        (
            id(2),
            "the client does not allow the target 10.1.0.1:22".to_owned(),
        ),
    ];
    assert_eq!(replaced.dropped, reasons);
    assert_eq!(replaced.difference.removed, 1);
    assert_eq!(replaced.difference.changed, 1);
    assert_eq!(scene.mapped(), ["7000 10.0.0.1:22"]);
    let replaced = scene.mappings.replace(&services, None, true);
    assert_eq!(replaced.dropped.len(), 1);
    assert_eq!(scene.mapped(), [""; 0]);
}

#[test]
fn only_a_request_that_was_never_mapped_is_given_up() {
    let mut scene = Scene::new(Accept::Auto);
    scene.told(&[asked(1, "10.0.0.1:22", 7000), asked(2, "10.0.0.1:22", 7001)]);
    let [own, one, two] = [1, 7000, 7001].map(|port| RemotePort::try_from(port).unwrap());
    scene.mappings.mapped(one, "h");
    assert_eq!(scene.standings()[0], RequestStanding::Mapped);
    assert_eq!(scene.mappings.give_up(own), None);
    assert_eq!(scene.mappings.give_up(one), None);
    assert_eq!(scene.mappings.give_up(two), Some(id(2)));
    assert_eq!(scene.mapped(), ["7000 10.0.0.1:22"]);
}

#[test]
fn mappings_requests_and_texts_are_bounded() {
    let mut scene = Scene::new(Accept::Auto);
    let list: Vec<_> = (0..2000)
        .map(|number| asked(number, "10.0.0.1:22", 2000 + i64::try_from(number).unwrap()))
        .collect();
    scene.told(&list);
    assert_eq!(scene.mapped().len(), MOST_MAPPINGS);
    assert_eq!(scene.standings().len(), MOST);
    assert!(scene.posts()[MOST_MAPPINGS].contains("has 100 requested mappings"));
    let long = Asked {
        by: "b".repeat(10_000),
        ..asked(1, &"1".repeat(10_000), 2000)
    };
    scene.told(&[long]);
    let states = scene.book.states(&scene.mappings);
    assert_eq!((states[0].by.len(), states[0].target.len()), (64, 64));
}

/// A text of an address in one of several forms, and the canonical address.
fn address() -> impl Strategy<Value = (String, IpAddr)> {
    let four = prop_oneof![
        1 => any::<[u8; 4]>(),
        4 => any::<[u8; 2]>().prop_map(|[b, d]| [10, b % 4, 0, d]),
        1 => Just([127, 0, 0, 1]),
        1 => Just([0, 0, 0, 0]),
    ];
    let four = four.prop_map(Ipv4Addr::from);
    prop_oneof![
        four.clone()
            .prop_map(|ip| (ip.to_string(), IpAddr::from(ip))),
        four.clone()
            .prop_map(|ip| (format!("[::ffff:{ip}]"), IpAddr::from(ip))),
        four.prop_map(|ip| {
            let [a, b, c, d] = ip.octets();
            let text = format!("[0:0:0:0:0:ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]");
            (text, IpAddr::from(ip))
        }),
        any::<u128>().prop_map(|bits| {
            let ip = Ipv6Addr::from(bits);
            (format!("[{ip}]"), IpAddr::from(ip).to_canonical())
        }),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    /// The server sends these requests: number, target, port.
    Told(Vec<(u64, String, i64)>),
    Accept(u64),
    Refuse(u64),
    /// A reload with other terms, and with or without an own mapping of port 7003.
    Reload(Terms, bool),
}

/// Networks as address and prefix length, all with the same ports, and remote ports.
#[derive(Debug, Clone)]
struct Terms {
    networks: Vec<(IpAddr, u8)>,
    ports: (u16, u16),
    remote_ports: (u16, u16),
    accept: Accept,
}

impl Terms {
    fn config(&self) -> RequestsConfig {
        let networks = self.networks.iter().map(|(ip, length)| {
            let text = format!("{ip}/{length}");
            text.parse().unwrap()
        });
        let (first, last) = self.remote_ports;
        let mut config = terms(&[], Some(&format!("{first}-{last}")));
        config.accept = self.accept;
        config.allow = vec![Allowed {
            networks: networks.collect(),
            ports: vec![
                format!("{}-{}", self.ports.0, self.ports.1)
                    .parse()
                    .unwrap(),
            ],
        }];
        config
    }

    /// Whether the terms allow a mapping, computed by other code than that of the program.
    fn allow(&self, ip: IpAddr, port: u16, remote_port: u16) -> bool {
        let is_within = |(network, length): &(IpAddr, u8)| match (network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                u32::from(*network) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                u128::from(*network) & mask == u128::from(ip) & mask
            }
            _ => false,
        };
        self.networks.iter().any(is_within)
            && (self.ports.0..=self.ports.1).contains(&port)
            && (self.remote_ports.0..=self.remote_ports.1).contains(&remote_port)
    }
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let network = prop_oneof![
        6 => (0_u8..=17).prop_map(|length| (IpAddr::from([10, 0, 0, 0]), length)),
        1 => (0_u8..=32).prop_map(|length| (IpAddr::from([10, 0, 0, 0]), length)),
        1 => (any::<[u8; 4]>(), 0_u8..=32).prop_map(|(ip, length)| (IpAddr::from(ip), length)),
        1 => (0_u8..=128).prop_map(|length| (IpAddr::from(Ipv6Addr::UNSPECIFIED), length)),
        1 => (any::<[u8; 16]>(), 0_u8..=128)
            .prop_map(|(ip, length)| (IpAddr::from(ip), length))
            .prop_filter("an IPv4 network as IPv6", |(ip, _)| ip.to_canonical()
                == *ip),
    ];
    (
        prop::collection::vec(network, 1..4),
        (19_u16..23, 26_u16..30),
        (7000_u16..7003, 7005_u16..7009),
        prop_oneof![Just(Accept::Auto), Just(Accept::ByHand)],
    )
        .prop_map(|(networks, ports, remote_ports, accept)| Terms {
            networks,
            ports,
            remote_ports,
            accept,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let target = prop_oneof![
        8 => (address(), 18_u16..32).prop_map(|((text, _), port)| format!("{text}:{port}")),
        1 => Just("localhost:22".to_owned()),
        1 => Just("10.0.0.1:22@127.0.0.1:22".to_owned()),
    ];
    let asked = (0_u64..8, target, 6999_i64..7009);
    prop_oneof![
        4 => prop::collection::vec(asked, 0..6).prop_map(Step::Told),
        3 => (0_u64..8).prop_map(Step::Accept),
        1 => (0_u64..8).prop_map(Step::Refuse),
        2 => (any_terms(), any::<bool>()).prop_map(|(terms, own)| Step::Reload(terms, own)),
    ]
}

/// Whatever a server sends and a person accepts, the client connects only to targets that its present terms allow.
#[test]
fn no_target_outside_of_the_list_can_be_dialled() {
    let dialled = std::cell::Cell::new(0);
    let steps = prop::collection::vec(step(), 1..12);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(4000));
    let held = runner.run(&(any_terms(), steps), |(first, steps)| {
        dialled.set(dialled.get() + play(first, steps));
        Ok(())
    });
    held.unwrap();
    // Enough mappings were dialled, so the test did not pass only because all were refused.
    assert!(dialled.get() > 500, "{}", dialled.get());
}

/// Plays the steps, and returns how often a requested mapping could be dialled.
fn play(first: Terms, steps: Vec<Step>) -> usize {
    let mut meant = first;
    let mut scene = Scene::new(Accept::Auto);
    scene.terms = meant.config();
    let mut own = vec![service(1)];
    let mut dialled = 0;
    for step in steps {
        match step {
            Step::Told(list) => {
                let list = list.into_iter();
                let list: Vec<_> = list
                    .map(|(n, target, port)| asked(n, &target, port))
                    .collect();
                scene.told(&list);
            }
            Step::Accept(number) => drop(scene.accept(number)),
            Step::Refuse(number) => drop(scene.refuse(number, "")),
            Step::Reload(terms, has_own) => {
                meant = terms;
                scene.terms = meant.config();
                own = vec![service(1)];
                if has_own {
                    own.push(service(7003));
                }
                let replaced = scene.mappings.replace(&own, Some(&scene.terms), true);
                for (id, reason) in replaced.dropped {
                    scene
                        .book
                        .refuse(&id, &reason, &mut scene.mappings)
                        .unwrap();
                }
            }
        }
        assert!(scene.mappings.get(1.try_into().unwrap()).is_some());
        for port in 6999..7009 {
            let Some(mapping) = scene.mappings.get(port.try_into().unwrap()) else {
                continue;
            };
            let service = &mapping.service;
            if let Some(own) = own
                .iter()
                .find(|own| own.remote_port == service.remote_port)
            {
                assert_eq!(&**service, own, "the client's own mapping was changed");
                continue;
            }
            // A mapping that is in the table and passes the check before the dial has to be allowed.
            assert!(mapping.permit(Some(&scene.terms)).is_ok());
            assert!(mapping.permit(None).is_err());
            let ip: IpAddr = service.host.parse().unwrap();
            assert_eq!(ip.to_canonical(), ip);
            let remote_port = service.remote_port.get();
            assert!(meant.allow(ip, service.port, remote_port), "{:?}", service);
            dialled += 1;
        }
    }
    dialled
}

proptest! {
    /// The check permits what the terms allow, and refuses all else.
    #[test]
    fn the_check_permits_exactly_what_the_terms_allow(
        meant in any_terms(),
        (_, ip) in address(),
        port in 18_u16..32,
        remote_port in 6999_u16..7009,
    ) {
        let permitted = meant
            .config()
            .permit((ip, port).into(), i64::from(remote_port).try_into().unwrap());
        let expected = meant.allow(ip, port, remote_port) && netroxy_net::networks::is_of_one_host(ip);
        prop_assert_eq!(permitted.is_ok(), expected);
    }
}
