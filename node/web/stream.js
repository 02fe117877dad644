// One WebSocket to the node this page came from: subscriptions, freshness, reconnecting.

const PING_GAP_MS = 3_000; // status comes every second; silence this long means trouble
const GIVE_UP_MS = 7_000;
const RETRY_MS = [400, 800, 1_600, 3_000, 5_000];

const keyOf = (channel, key) => (key === undefined ? channel : `${channel}/${key}`);
const FIELD = { book: "market", trades: "market", chat: "room", account: "account" };

export class Stream extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.topics = new Map(); // key → { channel, key, handler, seq, heardAt }
    this.socket = null;
    this.failures = 0;
    this.heardAt = 0;
    this.state = "connecting";
    setInterval(() => this.watch(), 500);
    this.connect();
  }

  /** Call handler(data, isSnapshot) for a channel; returns a function that ends it. */
  subscribe(channel, key, handler) {
    const topic = { channel, key, handler, seq: null, heardAt: 0 };
    this.topics.set(keyOf(channel, key), topic);
    this.ask("subscribe", topic);
    return () => {
      if (this.topics.get(keyOf(channel, key)) !== topic) return;
      this.topics.delete(keyOf(channel, key));
      this.ask("unsubscribe", topic);
    };
  }

  /** Milliseconds since what a topic shows was known to be current. */
  ageOf(channel, key) {
    const topic = this.topics.get(keyOf(channel, key));
    if (!topic || !topic.heardAt) return Infinity;
    // An idle topic is current as long as the node keeps talking on the same connection.
    const current = this.state === "live" ? Math.max(topic.heardAt, this.heardAt) : topic.heardAt;
    return performance.now() - current;
  }

  connect() {
    this.setState(this.failures ? "lost" : "connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.openedAt = performance.now();
    socket.onopen = () => {
      for (const topic of this.topics.values()) {
        topic.seq = null;
        this.ask("subscribe", topic);
      }
    };
    socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.setState("lost");
      const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
      this.failures += 1;
      setTimeout(() => this.connect(), wait * (0.75 + Math.random() / 2));
    };
  }

  ask(op, topic) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const frame = { op, channel: topic.channel };
    if (topic.key !== undefined) frame[FIELD[topic.channel]] = topic.key;
    this.socket.send(JSON.stringify(frame));
  }

  receive(message) {
    this.heardAt = performance.now();
    this.failures = 0;
    this.setState("live");
    if (!message.channel) return;
    const field = FIELD[message.channel];
    const topic = this.topics.get(keyOf(message.channel, field ? message[field] : undefined));
    if (!topic) return;
    const isSnapshot = message.snapshot === true;
    if (!isSnapshot && topic.seq !== null && message.seq !== topic.seq + 1) {
      this.ask("subscribe", topic); // something was missed: start again from a snapshot
    }
    topic.seq = message.seq;
    topic.heardAt = this.heardAt;
    topic.handler(message.data, isSnapshot);
  }

  watch() {
    const silence = performance.now() - Math.max(this.heardAt, this.openedAt);
    if (this.state === "live" && silence > PING_GAP_MS) this.setState("lost");
    if (this.socket && silence > GIVE_UP_MS) {
      this.openedAt = performance.now();
      this.socket.close();
    }
  }

  setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
