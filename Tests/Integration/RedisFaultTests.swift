import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import TestKit
import Testing

extension Chaos {
    /// G2, G6 and G7 while Redis stands still, throws its subscribers out, loses its data, or is failed over.
    @Suite struct RedisFaultTests {
        private func holds(_ world: World, decided: Int64, within: Int64 = Bounds.lease, learnt: Int64) throws {
            let broken = try world.violations(decided: decided, within: within, learnt: learnt)
            #expect(broken.isEmpty, "\(broken.joined(separator: "\n"))")
            let returning = try world.returningNowAndAfterRestart()
            #expect(returning.isEmpty, "\(returning.joined(separator: "\n"))")
        }

        /// SIGSTOP right behind the append, and nothing of it had been pushed: it is all that the gates could know of.
        @Test func redisStandsStill() throws {
            try Chaos.measured {
                let world = try World()
                for proxy in world.proxies { proxy.set(.stall, nil, .toGate) }
                let decided = try world.revoke()
                try world.redis.pause()
                world.pass(Bounds.lease, since: decided)
                for gate in world.gates { try world.wait("it is frozen") { gate.status.isFrozen } }
                world.redis.resume()
                for proxy in world.proxies { proxy.set(.pass) }
                try holds(world, decided: decided, learnt: Clock.boot() + 3 * Bounds.lease)
            }
        }

        @Test func subscribersAreKilled() throws {
            try Chaos.measured {
                let world = try World()
                for proxy in world.proxies { proxy.set(.drop(.events)) }
                try world.awaitReady()
                #expect(try world.redis.ask("CLIENT", "KILL", "TYPE", "pubsub").integer == 2)
                let decided = try world.revoke()
                for proxy in world.proxies { proxy.set(.pass) }
                world.pass(Bounds.lease, since: decided)
                try holds(world, decided: decided, learnt: decided + Bounds.lease)
            }
        }

        /// Redis itself throws out subscribers that do not read fast enough; the decision stands at the end of the burst.
        @Test func theOutputBufferIsFull() throws {
            try Chaos.measured {
                let world = try World()
                try world.redis.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 65536 65536 0")
                let connection = try BlockingConnection(world.redis.url)
                let text = String(repeating: "x", count: 60_000)
                let notice = #"{"v":1,"type":"notify","select":{"user":"nobody"},"data":""# + text + #""}"#
                // In one transaction: nothing is written to subscribers before its end.
                var burst = [Command("MULTI")]
                for _ in 0..<100 { burst.append(Command("PUBLISH", "portcullis:events", notice)) }
                burst.append(Command("EXEC"))
                _ = try connection.ask(burst)
                let decided = try world.revoke()
                world.pass(Bounds.lease, since: decided)
                for proxy in world.proxies { try world.wait("it was thrown out") { proxy.counts.links > 2 } }
                try holds(world, decided: decided, learnt: decided + Bounds.lease)
            }
        }

        /// Everything is deleted behind the decision: who has heard of it enforces it, and puts it back.
        @Test func everythingIsFlushed() throws {
            try Chaos.measured {
                let world = try World()
                let decided = try world.revoke()
                for gate in world.gates { try world.wait("it is learnt") { gate.status.standing == 1 } }
                try world.redis.ask("FLUSHALL")
                try world.wait("it is put back") { try world.redis.ask("XLEN", "portcullis:log") == .integer(1) }
                world.pass(Bounds.lease, since: decided)
                try holds(world, decided: decided, learnt: decided + Bounds.lease)
            }
        }

        /// Redis is killed and comes back with an old dump. Only one gate had learnt of the decision: it puts it back, and the other learns it.
        @Test func anOldDumpComesBack() throws {
            try Chaos.measured {
                let redis = try RedisServer(["--appendonly", "no"])
                #expect(try redis.ask("CONFIG", "GET", "appendonly").array?.last?.text == "no")
                let world = try World(redis)
                try world.revoke("earlier")
                for gate in world.gates { try world.wait("it is learnt") { gate.status.standing == 1 } }
                try redis.ask("SAVE")
                world.proxies[1].refuse(true)
                world.proxies[1].cut()
                try world.wait("the other gate knows nothing") { !world.gates[1].status.isReady }
                let decided = try world.revoke()
                try world.wait("one gate knows") { world.gates[0].status.standing == 2 }
                redis.stop()
                try redis.start()
                world.pass(Bounds.lease, since: decided)
                try world.wait("it is put back") { try redis.ask("XLEN", "portcullis:log") == .integer(2) }
                world.proxies[1].refuse(false)
                try holds(world, decided: decided, learnt: Clock.boot() + 3 * Bounds.lease)
            }
        }

        /// The replica becomes the primary, and the old one lives on, with a gate: without replicas it takes no probe, and that gate freezes.
        @Test func theOldPrimaryLivesOn() throws {
            try Chaos.measured {
                let port = try FreePort.take()
                let old = try RedisServer([
                    "--port", String(port), "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0",
                ])
                let new = try RedisServer(["--replicaof", "127.0.0.1", String(port)])
                var isFollowed = false
                for _ in 0..<1000 where !isFollowed { isFollowed = try old.ask("WAIT", "1", "30") == .integer(1) }
                try #require(isFollowed, "the replica is in step")
                try old.ask("CONFIG", "SET", "min-replicas-max-lag", "1")
                try old.ask("CONFIG", "SET", "min-replicas-to-write", "1")
                let world = try World(old)
                try new.ask("REPLICAOF", "NO", "ONE")
                let decided = try world.revoke(at: new)
                let lag: Int64 = 1_000_000_000
                world.pass(Bounds.lease + lag, since: decided)
                for gate in world.gates { try world.wait("it is frozen") { gate.status.isFrozen } }
                let broken = world.victims.flatMap {
                    world.ledger.violations(
                        victim: $0.account,
                        decided: decided,
                        within: Bounds.lease + lag,
                        learnt: .max / 2
                    )
                }.filter { !$0.contains("was gone") }
                let late = try world.checked(broken, decided)
                #expect(late.isEmpty, "\(late.joined(separator: "\n"))")
                for bystander in world.bystanders {
                    #expect(world.ledger.violations(bystander: bystander.account).isEmpty)
                }
            }
        }
    }
}
