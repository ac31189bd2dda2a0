PRAGMA application_id = 1179470929;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE counter (revision INTEGER NOT NULL);
INSERT INTO "counter" VALUES(16);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL, priority INTEGER NOT NULL,
    user TEXT NOT NULL, key TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (user, key)
);
INSERT INTO "jobs" VALUES(1,'failed',9,'anna','k0','{"key":"k0","job":{"id":1,"user":"anna","spec":{"name":"train-0","argv":["python3","train.py"],"snapshot":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","env":{"A":"\u00fc"},"priority":9},"submitted_at":1010.0,"state":"failed","attempts":[{"number":1,"worker":"box1","claimed_at":1070.0,"started_at":1080.0,"ended_at":1090.0,"launch":{"launcher":"process","pid":7,"start_ticks":9},"outcome":{"state":"failed","reason":"exit 3","code":3}}],"ended_at":1090.0}}');
INSERT INTO "jobs" VALUES(2,'queued',5,'anna','k1','{"key":"k1","job":{"id":2,"user":"anna","spec":{"name":"train-1","argv":["python3","train.py"],"snapshot":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","env":{"A":"\u00fc"}},"submitted_at":1020.0}}');
INSERT INTO "jobs" VALUES(3,'cancelled',5,'bob','k2','{"key":"k2","job":{"id":3,"user":"bob","spec":{"name":"train-2","argv":["python3","train.py"],"snapshot":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","env":{"A":"\u00fc"}},"submitted_at":1030.0,"state":"cancelled","stop":{"by":"bob","reason":"typo","at":1160.0},"ended_at":1160.0}}');
INSERT INTO "jobs" VALUES(4,'queued',1,'bob','k3','{"key":"k3","job":{"id":4,"user":"bob","spec":{"name":"train-3","argv":["python3","train.py"],"snapshot":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","env":{"A":"\u00fc"},"priority":1},"submitted_at":1040.0}}');
INSERT INTO "jobs" VALUES(5,'queued',5,'anna','k4','{"key":"k4","job":{"id":5,"user":"anna","spec":{"name":"train-4","argv":["python3","train.py"],"snapshot":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","env":{"A":"\u00fc"}},"submitted_at":1050.0}}');
INSERT INTO "jobs" VALUES(6,'running',7,'anna','k5','{"key":"k5","job":{"id":6,"user":"anna","spec":{"name":"train-5","argv":["python3","train.py"],"snapshot":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","env":{"A":"\u00fc"},"priority":7},"submitted_at":1060.0,"state":"running","attempts":[{"number":1,"worker":"box1","claimed_at":1100.0,"started_at":1110.0,"ended_at":1120.0,"launch":{"launcher":"process","pid":8,"start_ticks":9},"outcome":{"state":"lost","reason":"worker died"}},{"number":2,"worker":"box1","claimed_at":1130.0,"started_at":1140.0,"launch":{"launcher":"process","pid":8,"start_ticks":9}}],"lease":{"worker":"box1","boot_id":"boot-1","until":100.0}}}');
CREATE INDEX queued ON jobs (priority DESC, id) WHERE state = 'queued';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',6);
COMMIT;
