-- Why a running job was asked to stop: it becomes its reason, should it end cancelled. NULL: by_user.
ALTER TABLE {p}job ADD COLUMN cancel_reason TEXT;
