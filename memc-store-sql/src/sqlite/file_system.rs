//! What the file system under a database means for it.

use std::path::Path;

use memc_core::store::{Finding, Severity};

/// What stands against the file system that the database is on; nothing where that cannot be found out.
pub(super) fn finding(database: &Path) -> Option<Finding> {
    // Linux; elsewhere there is no such file, and nothing is said.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    judge(&kind(&mounts, database)?)
}

/// The type of the file system that is mounted nearest above a path, see proc_pid_mountinfo(5).
fn kind(mounts: &str, path: &Path) -> Option<String> {
    let mut nearest: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let (Some(point), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else {
            continue;
        };
        let point = point.replace("\\040", " ");
        // Of two mounts on one point the later covers the earlier.
        if path.starts_with(&point) && nearest.is_none_or(|(length, _)| point.len() >= length) {
            nearest = Some((point.len(), kind));
        }
    }
    nearest.map(|(_, kind)| kind.to_owned())
}

fn judge(kind: &str) -> Option<Finding> {
    let (severity, code, why) = match kind {
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "afs" | "ceph" | "glusterfs" | "fuse.sshfs"
        | "fuse.glusterfs" => (
            Severity::Refuse,
            "sqlite.network_file_system",
            "write-ahead logging needs a local one: move the database to a local disk, or use a database server",
        ),
        "tmpfs" | "ramfs" => (
            Severity::Note,
            "sqlite.volatile_file_system",
            "everything is lost when the machine restarts: move the database to a disk for anything but trials",
        ),
        _ => return None,
    };
    Some(Finding {
        severity,
        code: code.into(),
        message: format!("the database is on a file system of type {kind}: {why}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
        25 21 0:23 / /srv rw shared:1 - ext4 /dev/sdb rw\n\
        26 25 0:24 / /srv/my\\040share rw - nfs4 server:/x rw\n\
        27 21 0:25 / /tmp rw - ext4 /dev/sdc rw\n\
        28 27 0:26 / /tmp rw - tmpfs tmpfs rw\n";

    #[test]
    fn the_nearest_mount_counts() {
        let kind = |path: &str| kind(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(kind("/var/lib/memc.db"), "ext4");
        assert_eq!(kind("/srv/my share/memc.db"), "nfs4");
        assert_eq!(kind("/srv/my shares/memc.db"), "ext4");
        assert_eq!(kind("/tmp/memc.db"), "tmpfs");
    }

    #[test]
    fn network_file_systems_are_refused() {
        assert_eq!(judge("nfs4").unwrap().severity, Severity::Refuse);
        assert_eq!(judge("tmpfs").unwrap().severity, Severity::Note);
        assert_eq!(judge("ext4"), None);
    }
}
