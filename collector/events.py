"""The names of everything that is logged, each with what it says. Stable: people build alarms on them."""

from __future__ import annotations

EVENTS: dict[str, str] = {
    "service.started": "the process is up; says its version and how many meters",
    "service.ready": "everything is open and the schedule runs",
    "service.stopping": "a stop was asked for; what is under way is finished",
    "service.stopped": "the last line of a process that ended in order",
    "config.warning": "the configuration works, but something in it is unwise",
    "config.reloaded": "a changed configuration is in force",
    "config.rejected": "a changed configuration has problems; the one before stays in force",
    "job.started": "a job of one meter was asked for (level debug)",
    "job.finished": "a job ended: days by outcome, requests, holds, `duration_s` (level debug without days)",
    "job.failed": "a bug stopped one day, with its traceback; the others went on",
    "day.written": "a complete day was saved",
    "day.partial": "a day with hours missing was saved; it is asked for again",
    "day.doubtful": "an hour of a fall-back day came once where two were due; kept, and partial",
    "day.unchanged": "the cloud said what the file says (level debug)",
    "day.empty": "the cloud has nothing for a day; it is asked for again (level debug)",
    "day.failed": "a day could not be fetched or saved; it is asked for again",
    "day.differs": "a complete day is not what the cloud's daily total says; it is read again once",
    "totals.read": "which days the cloud has, by its daily totals: `beginning`, `days_with_data`",
    "totals.refused": "the cloud gives no daily totals; every day is requested instead",
    "totals.distrusted": "too many days differ from their totals: no day is read again for that",
    "hour.revised": "a stored hour got a newer value: old and new",
    "answer.rejected": "an answer broke the contract; nothing of it was stored",
    "answer.anomaly": "an answer tells some hours in a way nobody can be sure of; they count as missing",
    "request.retried": "a request is tried again, and when",
    "account.held": "the cloud rejected the pace; the whole account waits",
    "source.unavailable": "the cloud cannot be reached, or rejects every day (of one `meter`); "
    "said once per outage",
    "source.recovered": "the cloud answers again; how long it did not",
    "key.refused": "the cloud named the key as wrong; said once",
    "key.accepted": "a key that was refused is accepted again",
    "device.unknown": "the account does not know a device; the others go on",
    "storage.full": "no space to save a day; what is stored is whole",
    "storage.failed": "the archive cannot be written; nothing is fetched that cannot be kept",
    "storage.recovered": "the archive can be written again",
    "storage.weak": "days are saved, but their file system does not promise all that it should; "
    "said at each start",
    "file.quarantined": "a file that cannot be trusted was moved aside and is collected anew",
    "file.unreadable": "one or more day files cannot be read; they stay where they are, and their days wait",
    "file.changed": "one or more complete files are not the ones that were saved: a bit was lost, or edited",
    "archive.adopted": "day files without a mark were found to be this meter's, or somebody said so; "
    "`since`: days before it were another meter's",
    "archive.refused": "a folder holds another meter's days, or nobody knows whose; nothing in it is touched",
    "archive.missing": "an archive that was there is gone, its disk perhaps not mounted; none is begun there",
    "file.gone": "one or more complete files are gone, or older ones with hours missing lie there instead; "
    "what the cloud still has is asked for again",
    "file.outdated": "one or more files were saved by other rules of the zone; their days are asked again",
    "ledger.rebuilt": "the ledger was damaged and was made anew from the files",
    "zone.learned": "a meter's time zone became known",
    "zone.changed": "a meter's time zone is another one than before",
    "zone.unknown": "a time zone is unknown to this machine; the configured one counts, or nothing is stored",
    "zone.suspected": "answers contradict the rules of a zone; till they change no day is complete",
    "zone.trusted": "the rules of a time zone are no longer in doubt; the days held back are asked for again",
    "clock.untrusted": "this machine's clock cannot be right; nothing is stored until it is",
    "clock.trusted": "the clock is right; the work goes on",
    "clock.stepped": "the clock jumped by `step_s` seconds; the schedule was set anew",
    "history.expiring": "days not complete that the cloud will forget within 30 days; said once a day",
    "history.lost": "days that the cloud no longer keeps were never collected whole",
    "health.changed": "a meter's collecting became good, offline or broken: the newest hour's age, and why",
    "web.listening": "the page with /healthz and /metrics answers, and where",
    "web.failed": "the page cannot listen there; tried again every minute, the collecting goes on",
    "ping.failed": "the ping URL could not be told; said once per outage",
    "ping.recovered": "the ping URL can be told again",
    "hook.failed": "the command for a change of health failed: why, its code and its first line",
    "library.reported": "a warning or error of a library, in `message`",
}


CURES: dict[str, str] = {
    "account.held": "Nothing to do: it goes on by itself. If it comes all day, another program asks with the "
    "same account: end it, or raise min_interval_s.",
    "key.refused": "Keys change with the account's password: copy it anew from the Shelly app, "
    "User settings, Authorization cloud key; then restart the service.",
    "device.unknown": "Check the id, and the host: an account that has moved looks like this. "
    "The app shows the server under User settings, Authorization cloud key.",
    "source.unavailable": "Nothing to do if it is the network or the cloud: it goes on by itself. "
    "If it stays, check the host and this machine's connection. If the cloud answers 400, 403 or 404, "
    "check host, id and kind; if they are right, the cloud has changed: update the collector.",
    "zone.unknown": "Update this machine's time-zone data (apt install tzdata, on Debian 13 tzdata-legacy, "
    "too; or pip install -U tzdata), or set timezone to a name that it knows. The work goes on by itself.",
    "zone.suspected": "Update this machine's time-zone data (apt install tzdata, or pip install -U tzdata). "
    "The work goes on by itself, and the days are collected again. If the data are new, check timezone.",
    "clock.untrusted": "Set this machine's clock (timedatectl); the work goes on by itself.",
    "storage.full": "Make room on the disk; the work goes on by itself.",
    "storage.failed": "Look at the disk (dmesg), and replace a card that has become read-only.",
    "storage.weak": "Put the archive on a local disk (ext4, f2fs, btrfs, xfs), and copy it elsewhere as a "
    "backup.",
    "file.unreadable": "Look at the files' owner and permissions, and at the disk (dmesg). "
    "A file that stays unreadable can be moved away by hand: its day is collected anew. A damaged one "
    "that the cloud cannot give again stays: mend it with an editor, or have it from a backup.",
    "archive.refused": "Give each meter a folder of its own. If this meter is to go on in that folder, run "
    "`backfill` once with --adopt.",
    "archive.missing": "Mount the disk: collecting resumes by itself. To begin a new archive on purpose, run "
    "`backfill` once with --adopt.",
    "file.gone": "If it was not you, look at what else works on the folder: a sync client, a restore, fsck "
    "(dmesg). What the cloud still has comes back by itself, the rest from a backup. If it was you, "
    "verify --fix strikes it from the records.",
    "totals.distrusted": "Compare the meter's id, channels, grid_scale_factor and pv_kwh_discard with those "
    "that the files were stored with.",
    "answer.rejected": "The day is asked for again. If it is always so, check kind in the configuration.",
    "day.failed": "The day is asked for again; nothing to do unless it is so for every day.",
    "job.failed": "This is a bug; the log has a traceback. The other days go on.",
}
"""What a person can do about what went wrong, by the event that told it."""
