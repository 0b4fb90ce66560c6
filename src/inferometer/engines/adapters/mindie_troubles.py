"""Failures of MindIE's daemon, as its log words them.

Sources: MindIE-LLM's server (main.cpp, config_manager, file_utils), its troubleshooting pages, notes of users of 1.0 to
2.2 (the daemon's last lines are wrappers: the cause stands above, or only in its log files).
"""

from __future__ import annotations

from inferometer.engines.troubles import END, LINK, pattern

_FILE = "so that its file is at most readable by owner and group, and owned by you (chmod 640)"


PATTERNS = (
    pattern(
        r"The size of npuDeviceIds does not equal to (?P<what>\w+)",
        "the devices named are not as many as {what}",
        "name as many devices as tensor_parallel x data_parallel (npuDeviceIds and worldSize)",
    ),
    pattern(
        r"npuDeviceI[dD]s? does not allow repetitive element",
        "a device is named twice",
        "name each once: devices 0,1,2,3",
    ),
    pattern(
        r"Check (?P<who>Other group|Owner group|Owner) permission failed: Current permission is (?P<has>\d), but "
        r"required no greater than (?P<most>\d)",
        "a file of the weights or configuration is open to more than MindIE allows ({who}: {has}, not {most})",
        f"set modes {_FILE}; MINDIE_CHECK_INPUTFILES_PERMISSION=0 turns the check off",
    ),
    pattern(
        r"File owner ID mismatch|owner id diff",
        "a file of the model or the configuration belongs to somebody else",
        "change its owner to the user that starts MindIE (chown)",
    ),
    pattern(
        r"headNum should be \{(?P<known>[\d,]+)\}",
        "a rank's number of attention heads is none that MindIE's kernel has",
        "take a tensor parallel size with which heads per device are one of {known}",
    ),
    pattern(
        r"error while loading shared libraries: (?P<name>\S+?): cannot open shared object file",
        "the library {name} is not found, so that the environment of CANN or the models is not set",
        "source the four set_env.sh (ascend-toolkit, nnal/atb, mindie, atb-models) in the shell that starts this",
    ),
    pattern(
        r"tls(?:Ca|Cert|Pk)\w* .*(?:not exist|invalid|fail)|Failed to (?:load|check) .*(?:cert|TLS|tls)",
        "TLS is on, and its certificates cannot be read",
        "leave httpsEnabled false (as is done unless it is among the raw parameters), or give it certificates",
    ),
    pattern(
        r"TBE Subprocess\[task_distribute\] raise error.*main process disappeared",
        "the main process of MindIE ended, and took its compilers along",
        "look further up, or in its log files; most often the machine was out of memory, or /dev/shm below 1 GiB",
        END,
    ),
    pattern(
        r"LLMInferEngine failed to init LLMInferModels",
        "MindIE could not load the model, and its cause is in other files",
        "see ~/mindie/log (MINDIE_LOG_TO_STDOUT=1 brings it here); unset RANKTABLEFILE on one machine",
        LINK,
    ),
    pattern(
        r"Failed to init endpoint! Please check the service log or console output",
        "MindIE's server did not start, and its cause is in other files",
        "see ~/mindie/log; common ones: httpsEnabled without certificates, a port that is taken, devices in use",
        END,
    ),
    pattern(
        r"Daemon is killing",
        "a process of MindIE ended, so that its daemon ended all",
        "see ~/mindie/log and dmesg; give a container at least 1 GiB of shared memory (--shm-size)",
        END,
    ),
)
