"""The names of all log events, each with its meaning. Stable: people build alarms on them."""

from __future__ import annotations

EVENTS: dict[str, str] = {
    "service.started": "the process has started, with its version and the number of meters",
    "service.ready": "the archives are open and the schedule is running: after the start, and after each "
    "changed configuration that is in force",
    "service.failed": "the start failed, with `reason`; the process ends",
    "service.stopping": "a stop was requested; days in progress are finished",
    "service.stopped": "the service has ended normally; the last line of the process",
    "config.warning": "the configuration is valid, but something in it may cause problems",
    "config.reloaded": "a changed configuration is now in force",
    "config.rejected": "a changed configuration has errors; the service keeps the current one",
    "job.started": "a job of one meter was requested (level debug)",
    "job.finished": "a job has ended: `job` is `refresh` (today and yesterday), `command` (by hand), `heal` "
    "(incomplete days) or `backfill` (history); days by outcome, `requests`, `holds` (rate-limit pauses), "
    "`duration_s` (at level debug if the job had no days)",
    "job.failed": "a bug stopped one day, with its traceback; the other days continue",
    "command.received": "the running service received a command (`backfill`, `reread`, `verify`) from the "
    "user `uid`",
    "command.finished": "the command is `done`, or nobody waits for its result any more; `duration_s`",
    "command.failed": "a bug stopped a command, with its traceback; the service continues",
    "control.failed": "the service cannot receive commands, with `reason`; collecting continues",
    "day.written": "a complete day was saved",
    "day.partial": "a day with hours missing was saved, such as today so far; it is requested again",
    "day.doubtful": "autumn time change: the cloud returned one row for the repeated hour instead of two; it "
    "is stored, and the day stays partial",
    "day.unchanged": "the answer is the same as the stored file (level debug)",
    "day.empty": "the cloud has no data for a day; it is requested again (level debug)",
    "day.failed": "a day could not be fetched or saved; it is requested again",
    "day.differs": "a complete day differs from the cloud's daily total; it is fetched again once",
    "totals.read": "the cloud's daily totals were read, which show the days with data: `beginning`, "
    "`days_with_data`",
    "totals.refused": "the cloud gives no daily totals; every day is requested instead",
    "totals.distrusted": "too many days differ from their totals: no day is fetched again because of that",
    "spans.learned": "the longest period that one request can cover is now known: `longest_h` hours",
    "span.failed": "a request for several `days`, from `oldest` on, failed; these days are now requested one "
    "by one (level debug)",
    "spans.distrusted": "an answer for several days differs from the answer for one of them alone (`day`); "
    "from now on each day is requested by itself",
    "hour.revised": "a stored hour got a newer value: old and new",
    "answer.rejected": "an answer is not in the API's format; nothing from it was stored",
    "answer.anomaly": "some hours in an answer are impossible or ambiguous; they are treated as missing",
    "request.retried": "a request failed and is sent again after `retry_in_s` seconds (level debug)",
    "account.held": "rate limit reached: all requests of this account pause",
    "pace.unshared": "this process cannot share its request rate with others on this machine, with `reason`; "
    "it keeps one of its own (level debug if the folder for that does not exist)",
    "source.unavailable": "the cloud cannot be reached, or rejects every day (of one `meter`); logged once "
    "per outage, and once a day while it lasts",
    "source.recovered": "the cloud answers again; `down_s`: length of the outage",
    "key.refused": "the cloud rejected the key; logged once, and once a day while it lasts",
    "key.accepted": "a key that was refused is accepted again",
    "device.unknown": "the account does not know a device; the other meters continue",
    "storage.full": "no space to save a day; what is stored is intact",
    "storage.failed": "the archive cannot be written; nothing is fetched while it cannot be saved",
    "storage.recovered": "the archive can be written again",
    "storage.weak": "days are saved, but their file system gives fewer guarantees than needed; logged at "
    "each start",
    "file.quarantined": "a damaged file was moved to the quarantine folder; its day is fetched again",
    "file.unreadable": "one or more day files cannot be read; they stay where they are, and nothing new is "
    "stored for their days",
    "file.changed": "one or more complete files differ from their recorded checksums: corrupted or edited",
    "archive.adopted": "day files without a mark belong to this meter, by comparison or by `--adopt`; "
    "`since`: days before it were another meter's",
    "archive.refused": "a folder contains day files of another or an unknown meter; nothing in it is touched",
    "archive.missing": "an archive that existed is gone (perhaps its disk is not mounted); no new one is "
    "created",
    "file.gone": "one or more complete files are gone, or were replaced by older ones with hours missing; "
    "what the cloud still has is fetched again",
    "file.outdated": "one or more files were saved with other rules of the time zone; their days are fetched "
    "again",
    "ledger.rebuilt": "the request history was damaged and was rebuilt from the files",
    "zone.learned": "a meter's time zone became known",
    "zone.changed": "a meter's time zone has changed",
    "zone.unknown": "this machine does not know a time zone; the configured one is used, and without one "
    "nothing is stored",
    "zone.suspected": "answers contradict this machine's rules of a time zone; until they agree no day is "
    "complete",
    "zone.trusted": "the rules of a time zone are no longer in doubt; the affected days are requested again",
    "clock.untrusted": "this machine's clock is wrong; nothing is stored until it is set",
    "clock.trusted": "the clock is right again; collecting resumes",
    "clock.stepped": "the clock jumped by `step_s` seconds; the schedule was recalculated",
    "history.expiring": "days that are not complete and that the cloud deletes within 30 days; logged once a "
    "day",
    "history.lost": "days that the cloud has deleted before they were complete here",
    "health.changed": "a meter's state became good, offline or broken; with `reason` and newest hour's age",
    "publish.sent": "changed hours were sent to a target: `target`, `meters`, `hours`, `duration_s`",
    "publish.failed": "a target did not take the hours, with `reason` and `cure`; they are sent later. "
    "Logged once per outage, and again if a token or an address is refused",
    "publish.recovered": "a target takes the hours again; `down_s`: length of the outage",
    "web.listening": "the HTTP endpoint with /healthz and /metrics is up, with its address",
    "web.failed": "the HTTP endpoint cannot listen there; tried again every minute, collecting continues",
    "ping.failed": "the ping URL could not be reached; logged once per outage",
    "ping.recovered": "the ping URL can be reached again",
    "hook.failed": "the command for a health change failed; with `reason`, exit code and first output line",
    "library.reported": "a warning or error of a library, in `message`",
}


CURES: dict[str, str] = {
    "account.held": "No action needed: collecting resumes automatically. If it happens all day, another "
    "program uses the same account: stop it, or raise min_interval_s.",
    "pace.unshared": "No action needed if no other collector on this machine uses the account. Otherwise run "
    "it with sudo, or add its user to the group shelly-collector.",
    "key.refused": "Keys change with the account's password: copy the key again from the Shelly app, "
    "User settings, Authorization cloud key; then restart the service.",
    "device.unknown": "Check the device id and the host: after Shelly has moved an account to another "
    "server, the old one still answers, but does not know the device. "
    "The app shows the server under User settings, Authorization cloud key.",
    "source.unavailable": "Often temporary: collecting resumes automatically. If it lasts, check the host "
    "and this machine's connection. If the cloud answers 400, 403 or 404, check host, id and kind; if they "
    "are right, the cloud has changed: update the collector.",
    "control.failed": "Commands that need the archive work while the service is stopped. Check the service's "
    "runtime folder, then restart it.",
    "zone.unknown": "Update this machine's time-zone data (apt install tzdata, on Debian 13 tzdata-legacy, "
    "too; or pip install -U tzdata), or set timezone to a name that it knows. Collecting resumes "
    "automatically.",
    "zone.suspected": "Update this machine's time-zone data (apt install tzdata, or pip install -U tzdata). "
    "Collecting resumes automatically, and the days are fetched again. If these data are up to date, check "
    "the setting timezone.",
    "clock.untrusted": "Set this machine's clock (timedatectl); collecting resumes automatically.",
    "storage.full": "Free some space on the disk; collecting resumes automatically.",
    "storage.failed": "Check the disk (dmesg), and replace a card that has become read-only.",
    "storage.weak": "Put the archive on a local disk (ext4, f2fs, btrfs, xfs), and copy it elsewhere as a "
    "backup.",
    "file.unreadable": "Check the files' owner and permissions, and the disk (dmesg). "
    "A file that stays unreadable can be moved away by hand: its day is fetched again. A damaged file "
    "whose day the cloud has deleted stays: repair it with an editor, or restore it from a backup.",
    "archive.refused": "Give each meter a folder of its own. To use that folder for this meter all the same, "
    "run `backfill` once with --adopt.",
    "archive.missing": "Mount the disk: collecting resumes automatically. To start a new archive on purpose, "
    "run `backfill` once with --adopt.",
    "file.gone": "If you did not remove them, check what else uses the folder: a sync client, a restore, "
    "fsck (dmesg). The days that the cloud still has are fetched again; restore the others from a backup. If "
    "you removed them, verify --fix removes them from the records.",
    "totals.distrusted": "Compare the meter's id, channels, grid_scale_factor and pv_kwh_discard with those "
    "that the files were stored with.",
    "answer.rejected": "The day is requested again. If it happens for every day, check kind in the "
    "configuration.",
    "day.failed": "The day is requested again; no action needed unless it happens for every day.",
    "publish.failed": "No action needed if the target is down or restarting: what it lacks is sent when it "
    "is back. Otherwise check url, and whether this machine can reach it.",
    "job.failed": "This is a bug; the log has a traceback. The other days continue.",
}
"""What to do about a problem, by the event that reported it."""
