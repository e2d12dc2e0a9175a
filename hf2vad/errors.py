"""Every error a caller can meet, in one tree.

Hf2vadError
├── ConfigError          a setting, option or file of settings that the user must change
├── StorageError         an object or prefix cannot be used
│   ├── NotFoundError        it is not there
│   │   └── BucketNotFoundError  nor is the bucket
│   ├── AccessDeniedError    the credentials do not allow it
│   └── StorageFullError     the disk is full, or a quota is used up
├── VideoError           one video, or a range of it, cannot be read: it ends as a failure row, the run goes on
│   └── VideoDeniedError     because it may not be read
├── SchemaError          a table or bundle of another schema version, or without a column it must have
├── BundleError          a bundle that is damaged or incomplete
│   └── MismatchError        a bundle that was trained on differently extracted cubes
├── EngineError          an engine that cannot run here, was changed, or does not give what eager gives
├── DeviceError          a GPU failed, and with it everything else that its worker would do on it
│   └── DeviceMemoryError    no memory was left on it: the worker can go on
├── ShapeError           an array that does not have the shape its consumer states
├── TrainingError        training cannot start or go on (empty table, loss not finite)
├── EvaluationError      scores and labels do not belong together
├── DispatchError        the cluster cannot do the work at all
│   └── BreakerError         nearly everything fails
├── LeaseError           another run is at work on the same output
└── StoppedError         told to stop (SIGTERM) before everything was done

A job prints the message of any of them as one line and exits with 2 (of the last two with 4 and 143), so a message
names the thing, the value that was wrong and what would be right.
"""


class Hf2vadError(Exception):
    """Base of all errors that a caller may want to handle."""


class ConfigError(Hf2vadError):
    """A setting, option or settings file that the user must change."""


class StorageError(Hf2vadError):
    """An object or prefix in storage cannot be used."""


class NotFoundError(StorageError):
    """The object, file, folder or bucket does not exist."""


class BucketNotFoundError(NotFoundError):
    """Not the object alone is missing, but its bucket."""


class AccessDeniedError(StorageError):
    """Storage refused the credentials in use, or there are none."""


class StorageFullError(StorageError):
    """There is no room left to write to: a full disk, or a quota."""


class VideoError(Hf2vadError):
    """One video, or a frame range of it, cannot be read."""


class VideoDeniedError(VideoError):
    """Storage refuses to let one video be read; others may be."""


class SchemaError(Hf2vadError):
    """A table or bundle has another schema version or lacks a column."""


class BundleError(Hf2vadError):
    """A bundle is damaged or incomplete."""


class MismatchError(BundleError):
    """Cubes and bundle do not belong together: extraction settings differ."""


class EngineError(Hf2vadError):
    """An engine cannot be built or run here, was changed after it was built, or does not agree with eager."""


class DeviceError(Hf2vadError):
    """A GPU failed under a process, which can do nothing more on it."""


class DeviceMemoryError(DeviceError):
    """There was no memory left on a GPU; the process can go on."""


class ShapeError(Hf2vadError):
    """An array does not have the shape that its consumer states."""


class TrainingError(Hf2vadError):
    """Training cannot start or go on."""


class EvaluationError(Hf2vadError):
    """Scores and labels do not belong together."""


class DispatchError(Hf2vadError):
    """The cluster cannot do the work at all."""


class BreakerError(DispatchError):
    """Nearly everything fails, so that going on would only make failures."""


class LeaseError(Hf2vadError):
    """Another run is at work on the same output."""


class StoppedError(Hf2vadError):
    """The process was told to stop before everything was done; running it again goes on there."""
