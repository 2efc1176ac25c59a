//! The smallest program around a fleet: a store on SQLite, one cluster, one host, one cache, and the pillar for Salt.
//!
//! ```sh
//! cargo run -p memc-embed -- /tmp/memc.db
//! curl http://127.0.0.1:8081/salt/pillar/m1.example.com
//! ```

use std::net::SocketAddr;

use memc_core::Fleet;
use memc_core::fleet::{Options, SubmitError};
use memc_core::ledger::{ClusterSpec, Command, HostSpec, Order};
use memc_core::model::{Mib, Policy, Port, PortRange};
use memc_pillar_http::{Access, Fetches, router};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let file =
        std::env::args().nth(1).ok_or("usage: memc-embed FILE (the SQLite database, made if missing)")?;
    let fleet =
        Fleet::open(memc_store_sql::connect(&format!("sqlite:{file}")).await?, Options::default()).await?;

    let ports = PortRange { first: Port::new(11211)?, last: Port::new(11999)? };
    let host = HostSpec {
        cluster: "web".parse()?,
        address: "127.0.0.1".parse()?,
        memory: Mib::new(4096)?,
        rack: None,
        blocked_ports: Default::default(),
    };
    let commands = [
        Command::CreateCluster {
            name: "web".parse()?,
            spec: ClusterSpec { ports, policy: Policy::default() },
        },
        Command::AddHost { name: "m1.example.com".parse()?, spec: host },
        Command::CreateTeam { name: "shop".parse()? },
        Command::SetQuota { cluster: "web".parse()?, team: "shop".parse()?, memory: Mib::new(1024)? },
        Command::Allocate {
            team: "shop".parse()?,
            name: "sessions".parse()?,
            cluster: "web".parse()?,
            memory: Mib::new(64)?,
            instances: 1,
            max_per_rack: None,
        },
    ];
    for (number, command) in commands.into_iter().enumerate() {
        // With a request id, starting this program again changes nothing.
        let order = Order {
            actor: "user:setup".parse()?,
            request: Some(format!("setup-{number}").parse()?),
            command,
        };
        match fleet.submit(order).await {
            Ok(receipt) => println!("revision {}: {:?}", receipt.revision, receipt.subject),
            Err(SubmitError::Refused(refusal)) => println!("refused: {refusal}"),
            Err(error) => return Err(error.into()),
        }
    }

    let listen = SocketAddr::from(([127, 0, 0, 1], 8081));
    let pillar = router(fleet, Access::open_on_loopback(listen)?, Fetches::default());
    println!("http://{listen}/salt/pillar/m1.example.com");
    let app: axum::Router = axum::Router::new().nest("/salt", pillar);
    axum::serve(tokio::net::TcpListener::bind(listen).await?, app).await?;
    Ok(())
}
