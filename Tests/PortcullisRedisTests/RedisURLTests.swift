import PortcullisReactor
import PortcullisRedis
import Testing

@Suite struct RedisURLTests {
    @Test(arguments: [
        ("redis://localhost", RedisURL(place: .host("localhost", port: 6379))),
        ("redis://localhost/", RedisURL(place: .host("localhost", port: 6379))),
        ("redis://10.0.0.1:6380/3", RedisURL(place: .host("10.0.0.1", port: 6380), database: 3)),
        ("redis://[::1]", RedisURL(place: .host("::1", port: 6379))),
        ("redis://[2001:db8::1]:1/15", RedisURL(place: .host("2001:db8::1", port: 1), database: 15)),
        ("redis://:secret@h", RedisURL(place: .host("h", port: 6379), password: "secret")),
        ("redis://gate:secret@h:65535", RedisURL(place: .host("h", port: 65535), user: "gate", password: "secret")),
        ("redis://gate:@h", RedisURL(place: .host("h", port: 6379), user: "gate", password: "")),
        ("redis://g%40te:p%3Aa%2fs%25@h", RedisURL(place: .host("h", port: 6379), user: "g@te", password: "p:a/s%")),
        ("redis://u:a:b/c@d@h/1", RedisURL(place: .host("h", port: 6379), user: "u", password: "a:b/c@d", database: 1)),
        ("rediss://h", RedisURL(place: .host("h", port: 6379), isSecured: true)),
        (
            "rediss://u:p@[::1]:7/2",
            RedisURL(place: .host("::1", port: 7), user: "u", password: "p", database: 2, isSecured: true)
        ),
        ("redis+sentinel://h/m", RedisURL(place: .sentinels([.init(host: "h", port: 26379)], name: "m"))),
        (
            "redis+sentinel://u:p@h:1,[::1]:2,h:1,k/a%2Fb/3",
            RedisURL(
                place: .sentinels(
                    [.init(host: "h", port: 1), .init(host: "::1", port: 2), .init(host: "k", port: 26379)],
                    name: "a/b"
                ),
                user: "u",
                password: "p",
                database: 3
            )
        ),
        (
            "rediss+sentinel://h/m/",
            RedisURL(place: .sentinels([.init(host: "h", port: 26379)], name: "m"), isSecured: true)
        ),
        ("unix:///run/redis.sock", RedisURL(place: .path("/run/redis.sock"))),
        ("unix:///run/a%20b.sock?db=2", RedisURL(place: .path("/run/a b.sock"), database: 2)),
    ])
    func valid(_ text: String, _ url: RedisURL) throws {
        #expect(try RedisURL(text) == url)
    }

    @Test(arguments: [
        "", "localhost", "localhost:6379", "http://localhost", "REDIS://h", "redis:/h", "redis://", "redis://:6379",
        "redis:///0",
        "redis://h:", "redis://h:0", "redis://h:65536", "redis://h:-1", "redis://h:+1", "redis://h:x", "redis://h:1:2",
        "redis://h/x", "redis://h/-1", "redis://h/+1", "redis://h/65536", "redis://h/0/1", "redis://h/0?x=1",
        "redis://h?db=1",
        "redis://h h", "redis://h\u{0}", "redis://\u{E9}", "redis://[::1", "redis://[::1]x", "redis://[::1]:",
        "redis://[]",
        "redis://::1", "redis://2001:db8::1:6379", "redis://user@h", "redis://hunter2@h", "redis://:hunter2%@h",
        "redis://:hunter2%zz@h", "redis://:hunter2%+1@h", "redis://:hunter2%ff@h", "redis://u:hunter2@",
        "redis://u:hunter2@h:x",
        "redis://u:hunter2@h/x", "rediss://", "rediss://u:hunter2@h/x", "redis://h,k", "redis+sentinel://u:hunter2@h",
        "redis+sentinel://u:hunter2@h/", "redis+sentinel:///m", "redis+sentinel://h,/m", "redis+sentinel://h:0/m",
        "redis+sentinel://h/m/x", "redis+sentinel://h/m/1/2", "redis+sentinel://h/%00", "rediss+sentinel://hunter2@h/m",
        "unix://",
        "unix://run/redis.sock",
        "unix:///run/%zz", "unix:///run/r.sock?db=", "unix:///run/r.sock?db=x", "unix:///run/r.sock?password=hunter2",
        "unix:///run/%00", "http://u:hunter2@h",
    ])
    func invalid(_ text: String) {
        #expect { try RedisURL(text) } throws: { error in
            let sentence = "\(error)"
            return error is RedisURL.Malformed && sentence.hasSuffix(".") && sentence.contains("Redis")
                && !sentence.contains("hunter2") && !String(reflecting: error).contains("hunter2")
        }
    }

    struct Settings {
        let url: RedisURL
        let others: [RedisURL]
    }

    @Test func thePasswordIsShownNowhere() throws {
        let url = try RedisURL("redis://gate:hunter2@h:1234/5")
        let settings = Settings(url: url, others: [url])
        var dumped = ""
        dump(settings, to: &dumped)
        dump(url, to: &dumped)
        for shown in [
            "\(url)", String(reflecting: url), "\(settings)", String(reflecting: settings), "\([url])",
            "\(Optional(url) as Any)",
            dumped,
        ] {
            #expect(!shown.contains("hunter2"))
            #expect(shown.contains("redis://gate:***@h:1234/5"))
        }
    }

    @Test(arguments: [
        ("redis://h", "redis://h:6379"), ("redis://:p@h", "redis://:***@h:6379"),
        ("redis://[::1]:7/2", "redis://[::1]:7/2"),
        ("rediss://u:p@h/2", "rediss://u:***@h:6379/2"),
        ("redis+sentinel://:p@h,[::1]:7/m/2", "redis+sentinel://:***@h:26379,[::1]:7/m/2"),
        ("rediss+sentinel://h/m", "rediss+sentinel://h:26379/m"),
        ("unix:///r.sock?db=0", "unix:///r.sock"), ("unix:///r.sock?db=3", "unix:///r.sock?db=3"),
    ])
    func descriptions(_ text: String, _ shown: String) throws {
        #expect(try RedisURL(text).description == shown)
    }

    @Test func greetings() throws {
        #expect(try RedisURL("redis://h").greeting == [Command("PING")])
        #expect(try RedisURL("redis://:p@h").greeting == [Command("AUTH", "p"), Command("PING")])
        #expect(
            try RedisURL("redis://u:p@h/3").greeting
                == [Command("AUTH", "u", "p"), Command("SELECT", "3"), Command("PING")]
        )
        #expect(try RedisURL("unix:///r.sock?db=1").greeting == [Command("SELECT", "1"), Command("PING")])
    }

    /// Where sentinels name the primary, it must say itself that it is one.
    @Test func greetingsBehindSentinels() throws {
        #expect(
            try RedisURL("redis+sentinel://:p@h/m/1").greeting
                == [Command("AUTH", "p"), Command("SELECT", "1"), Command("ROLE"), Command("PING")]
        )
    }

    @Test func endpoints() throws {
        #expect(try RedisURL("unix:///r.sock").resolve() == [.unix(path: "/r.sock")])
        #expect(try RedisURL("redis://127.0.0.1:7").resolve() == [.tcp(address: "127.0.0.1", port: 7)])
        #expect(try RedisURL("redis://[::1]:7").resolve() == [.tcp(address: "::1", port: 7)])
    }
}
