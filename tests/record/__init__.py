"""What the whole product does in a fixed list of scenarios, written into a folder.

Two builds that do the same write the same folder. The commands of the product run as users start them, each
in a process of its own, beside the simulated cloud and in virtual time; `scenarios` is the list, `stage` runs
a command, `network` is the loop that it runs on, and `product` holds all that is imported of the product.

A scenario's folder has, all times true ones and virtual:

- `<time> <command>.txt`: exit code, standard output and error of each command, from its start on. Of `run`
  this is the log, a JSON line an event; of the others the JSON or the text that they print. Commands of the
  same name and second follow one another in one file.
- `<time> page <path>.txt`: what the service's page answered.
- `requests.jsonl`: every connection to the cloud and to the pinged address, by the time of its beginning:
  the request without its key, the status line and length of the answer, who ended it and after how long.
- `notify.txt`: what the service manager was told, but for signs of life; `hooked.txt`: the environment of the
  program that is run when health changes.
- `archive/`, `run/`, `state/`: all files that the product kept, byte by byte; `files.txt` has their modes.

Two runs are identical without any sorting: connections stay in memory, what would block is called at once in
the loop's own thread, chance is seeded, the order of sets is fixed, and the folders in which the product
works (below `/tmp/shelly-collector-record`) have the same names in each run. So one run at a time on a
machine. Replaced by `?`: process ids, and the room that is free on the disk. A file that was replaced has its
virtual time. Signs of life and looks at the state are rarer than in the product, and nothing is synced.

What depends on the machine is the same only on the same machine: versions of Python and of libraries, the
kind of the file system, whether the system's time service has set the clock. What threads do to one another
is not seen, nor TLS and real sockets, nor how long something really takes.
"""
