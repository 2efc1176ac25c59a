//! Following the ledger: one task asks for its end, for everyone who waits and every now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::shared::Shared;
use crate::model::Revision;
use crate::store::StoreError;

type Asked = oneshot::Sender<Result<Revision, Arc<StoreError>>>;
/// To ask the task.
pub(super) type Following = mpsc::UnboundedSender<Asked>;

/// Who asks joins only a check that has not been sent yet, so that nobody is answered from before they asked: those
/// who come during one wait in the channel for the next.
pub(super) async fn run(shared: Arc<Shared>, mut asked: mpsc::UnboundedReceiver<Asked>, poll: Duration) {
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            count = asked.recv_many(&mut waiting, usize::MAX) => if count == 0 { return },
            () = tokio::time::sleep(poll) => {}
        }
        let caught_up = shared.catch_up().await.map_err(Arc::new);
        for answer in waiting.drain(..) {
            // Who gave up waiting is not missed.
            let _ = answer.send(caught_up.clone());
        }
    }
}
