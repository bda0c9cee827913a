//! What vppd tells its service manager (sd_notify): the demo plays that part, so that it knows when vppd is ready and
//! sees that it says when it stops.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::UnixDatagram;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The socket that vppd finds in `NOTIFY_SOCKET`, and what came through it.
pub struct Notices {
    path: PathBuf,
    lines: watch::Receiver<Vec<String>>,
    _stop: DropGuard,
}

impl Notices {
    /// Listens at `path`, which must not exist, in the current tokio runtime.
    pub fn listen(path: &Path) -> std::io::Result<Notices> {
        let socket = Arc::new(UnixDatagram::bind(path)?);
        let (sender, lines) = watch::channel(Vec::new());
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(receive(socket, sender)));
        Ok(Notices { path: path.to_owned(), lines, _stop: stop.drop_guard() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until `line` (such as `READY=1`) has been said.
    pub async fn said(&self, line: &str) {
        let mut lines = self.lines.clone();
        // An error says that nothing will come any more; then this waits for ever, as for a silent vppd.
        if lines.wait_for(|lines| lines.iter().any(|said| said == line)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn receive(socket: Arc<UnixDatagram>, lines: watch::Sender<Vec<String>>) {
    let mut buffer = vec![0; 4096];
    while let Ok(length) = socket.recv(&mut buffer).await {
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        lines.send_modify(|lines| lines.extend(text.lines().map(str::to_owned)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_is_heard_once_it_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let notices = Notices::listen(&folder.path().join("notify.sock")).unwrap();
        let service = UnixDatagram::unbound().unwrap();
        service.send_to(b"STATUS=Starting\nREADY=1\n", notices.path()).await.unwrap();
        notices.said("READY=1").await;
        service.send_to(b"STOPPING=1", notices.path()).await.unwrap();
        notices.said("STOPPING=1").await;
    }
}
