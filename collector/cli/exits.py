"""Exit codes, as in sysexits.h; they do not change."""

DONE = 0
IN_PART = 1
USAGE = 2
SOURCE_UNAVAILABLE = 69
CANNOT_CREATE = 73
CANNOT_SAVE = 74
HELD_BY_ANOTHER = 75
KEY_REFUSED = 77
BAD_CONFIGURATION = 78
INTERRUPTED = 130

MEANINGS = {
    DONE: "done",
    IN_PART: "partly failed: days could not be fetched, the cloud rejects every day or has no hour of a "
    "meter, `verify` found problems, `export` found damaged files, a check of `doctor` failed, a target of "
    "`publish` did not take hours or has others, `setup` found "
    "no meter, or `status`: a meter's newest hour is too old",
    USAGE: "wrong usage",
    SOURCE_UNAVAILABLE: "the cloud cannot be reached, or its rate limit lasts for long (429)",
    CANNOT_CREATE: "the archive, the configuration or a report cannot be created or opened, the port is in "
    "use, or the running service refused the command",
    CANNOT_SAVE: "a file could not be saved, or the output could not be written",
    HELD_BY_ANOTHER: "another collector has locked the archive",
    KEY_REFUSED: "the cloud refused the key",
    BAD_CONFIGURATION: "the configuration is wrong",
    INTERRUPTED: "interrupted",
}
