//! Many clients at two processes on one file, until the fleet is full; the same with one process killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::program::{Served, api, run, store_in, succeed};

const CLIENTS: usize = 64;
const HOSTS: usize = 48;
const MEMORY: u64 = 2048;

/// Sizes and numbers of instances that clients ask for, in turn.
const WANTED: [(u64, u64); 5] = [(8, 1), (64, 2), (24, 1), (128, 3), (8, 2)];

struct Fleet {
    store: String,
    token: String,
    _directory: tempfile::TempDir,
}

async fn fleet() -> (Fleet, [Served; 2]) {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    succeed(&["user", "add", "ada", "--admin", "--password-stdin", "--store", &store], "correct horse");
    let token = succeed(&["token", "create", "--user", "ada", "--store", &store], "").trim().to_owned();
    let served = [Served::start(&store, &["--no-observe"]), Served::start(&store, &["--no-observe"])];
    let set_up = async |method, path: String, body: Value| {
        let (status, answer) = api(&served[0].address, &token, method, &path, "", &body).await.unwrap();
        assert!(status < 300, "{path}: {answer}");
    };
    let cluster = json!({"name": "web", "first_port": 11210, "last_port": 11999});
    set_up("POST", "/clusters".into(), cluster).await;
    for number in 0..HOSTS {
        let body = json!({"name": format!("m{number}"), "cluster": "web", "address": format!("127.0.2.{number}"),
                          "memory_mib": MEMORY});
        set_up("POST", "/hosts".into(), body).await;
    }
    set_up("POST", "/teams".into(), json!({"name": "shop"})).await;
    set_up("PUT", "/clusters/web/quotas/shop".into(), json!({"memory_mib": 1_000_000})).await;
    (Fleet { store, token, _directory: directory }, served)
}

/// Ask for caches until there is no room for the smallest; every one that was acknowledged. A process that does not
/// answer is left for the next one, with the same request id.
async fn client(
    number: usize,
    mut addresses: Vec<String>,
    token: Arc<str>,
    acknowledged: Arc<AtomicUsize>,
) -> Vec<(Value, Value)> {
    addresses.rotate_left(number % 2);
    let mut made = Vec::new();
    for turn in 0.. {
        let mut room = false;
        for (memory, instances) in [WANTED[(number + turn) % WANTED.len()], (8, 1)] {
            let name = format!("c{number}-{turn}-{memory}-{instances}");
            let body = json!({"team": "shop", "name": name, "cluster": "web", "memory_mib": memory, "instances": instances});
            let (status, answer) = loop {
                match api(&addresses[0], &token, "POST", "/caches", &name, &body).await {
                    Ok((503, _)) | Err(_) => {
                        addresses.rotate_left(1);
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                    Ok(answer) => break answer,
                }
            };
            match status {
                201 => {
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                    made.push((body, answer));
                    room = true;
                }
                409 => {
                    assert_eq!(answer["code"], "no_room", "{answer}");
                    assert!(answer["largest_fit_mib"].as_u64().unwrap() < memory, "{answer}");
                }
                _ => panic!("{status}: {answer}"),
            }
            if room {
                break;
            }
        }
        if !room {
            break;
        }
    }
    made
}

/// What was acknowledged is there, as it was acknowledged, and nothing is given out twice.
async fn audit(fleet: &Fleet, address: &str, acknowledged: &[(Value, Value)]) {
    let get = async |path: &str| {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = format!("{path}?limit=1000{cursor}");
            let (status, body) = api(address, &fleet.token, "GET", &page, "", &Value::Null).await.unwrap();
            assert_eq!(status, 200, "{body}");
            items.extend(body["items"].as_array().unwrap().clone());
            match body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", next.replace('/', "%2F")),
                None => return items,
            }
        }
    };
    let caches = get("/caches").await;
    let there: BTreeMap<&str, &Value> = caches.iter().map(|it| (it["name"].as_str().unwrap(), it)).collect();
    assert_eq!(
        there.len(),
        acknowledged.len(),
        "as many as were acknowledged: every client asked until it knew"
    );
    for (asked, answer) in acknowledged {
        let name = asked["name"].as_str().unwrap();
        let found = there.get(name).unwrap_or_else(|| panic!("{name} was acknowledged and is not there"));
        assert_eq!(found["instances"], answer["instances"]);
        assert_eq!(found["memory_mib"], asked["memory_mib"]);
        assert_eq!(json!(found["instances"].as_array().unwrap().len()), asked["instances"]);
    }
    let (mut places, mut booked) = (BTreeSet::new(), BTreeMap::<&str, u64>::new());
    for instance in caches.iter().flat_map(|it| it["instances"].as_array().unwrap()) {
        let host = instance["host"].as_str().unwrap();
        assert!(places.insert((host, instance["port"].as_u64().unwrap())), "{instance} has another's port");
        *booked.entry(host).or_default() += instance["booked_mib"].as_u64().unwrap();
    }
    let smallest = 8 + 45 + 16;
    for host in get("/hosts").await {
        let booked = booked[host["name"].as_str().unwrap()];
        assert_eq!(host["booked_mib"], booked);
        // 10 % is kept for growing; what is left of the rest is too little for the smallest instance.
        let open = MEMORY - MEMORY.div_ceil(10);
        assert!(booked <= open && open - booked < smallest, "{host}");
    }
    let body = json!({"team": "shop", "name": "one-more", "cluster": "web", "memory_mib": 8, "instances": 1});
    let (status, answer) = api(address, &fleet.token, "POST", "/caches", "", &body).await.unwrap();
    assert_eq!((status, &answer["code"], &answer["largest_fit_mib"]), (409, &json!("no_room"), &json!(0)));
    let doctor = run(&["doctor", "--store", &fleet.store], "");
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
}

async fn fill(
    fleet: &Fleet,
    served: &[Served; 2],
    acknowledged: &Arc<AtomicUsize>,
) -> JoinSet<Vec<(Value, Value)>> {
    let addresses: Vec<String> = served.iter().map(|it| it.address.clone()).collect();
    let token: Arc<str> = fleet.token.as_str().into();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(client(number, addresses.clone(), token.clone(), acknowledged.clone()));
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_fill_the_fleet_together() {
    let (fleet, served) = fleet().await;
    let acknowledged = Arc::default();
    let made = fill(&fleet, &served, &acknowledged).await.join_all().await.concat();
    assert!(made.len() > 4 * CLIENTS, "{}", made.len());
    for process in &served {
        audit(&fleet, &process.address, &made).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_processes_is_killed_meanwhile() {
    let (fleet, mut served) = fleet().await;
    let acknowledged = Arc::default();
    let clients = fill(&fleet, &served, &acknowledged).await;
    while acknowledged.load(Ordering::SeqCst) < 3 * CLIENTS {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    served[0].kill();
    let made = clients.join_all().await.concat();
    audit(&fleet, &served[1].address, &made).await;
}
