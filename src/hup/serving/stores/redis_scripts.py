"""What Redis does in one go: scripts that no other command comes between, and the keys that they work on.

All keys have ``{hup}`` in them, so that a cluster keeps them on one of its machines, as scripts demand.
"""

from __future__ import annotations

#: In front of a user's name: revision and data of the record.
RECORD = b"{hup}:record:"

#: Sorted set of the users' names, all of the same score, which Redis keeps in the order of their bytes.
USERS = b"{hup}:users"

#: Sorted set of the same names by the millisecond at which they expire.
EXPIRING = b"{hup}:expiring"

#: Hash of rows by item, sorted set of items by the revision that put them, and the newest revision.
ITEMS = b"{hup}:items"
ITEM_REVISIONS = b"{hup}:item-revisions"
ITEM_REVISION = b"{hup}:item-revision"

#: Written to find out whether anything can be.
CHECKED = b"{hup}:checked"

#: For each record (from the third key on) its user, expected revision, new revision and data, and when it expires.
#: A record with the new revision was written by the same command, whose answer was lost on the way.
WRITE = """
local done = {}
for i = 3, #KEYS do
    local a = 4 * (i - 3)
    local user, expected, value, expires = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4]
    local found = redis.call('GETRANGE', KEYS[i], 0, 15)
    done[i - 2] = (found == expected or found == string.sub(value, 1, 16)) and 1 or 0
    if done[i - 2] == 1 then
        redis.call('ZADD', KEYS[1], 0, user)
        redis.call('ZADD', KEYS[2], expires, user)
        redis.call('SET', KEYS[i], value, 'PXAT', expires)
    end
end
return done
"""

FORGET = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[3])
"""

SWEEP = """
local users = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, user in ipairs(users) do
    redis.call('ZREM', KEYS[1], user)
    redis.call('ZREM', KEYS[2], user)
    redis.call('DEL', ARGV[3] .. user)
end
return #users
"""

PUT_ITEMS = """
local revision = redis.call('INCR', KEYS[3])
for i = 1, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    redis.call('ZADD', KEYS[2], revision, ARGV[i])
end
return revision
"""
