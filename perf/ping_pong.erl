%% Ping-pong: what perf/run puts beside bench_actors: pairs of processes that pass one
%% message to and fro, for a second; prints messages per second, "2.51 M/s".
%%
%% usage: erl +S 1:1 -noshell -run ping_pong main PAIRS
-module(ping_pong).
-export([main/1, player/1]).

main([Text]) ->
    Pairs = list_to_integer(Text),
    Players = lists:append([pair() || _ <- lists:seq(1, Pairs)]),
    timer:sleep(200),
    Before = count(Players),
    Began = erlang:monotonic_time(nanosecond),
    timer:sleep(1000),
    After = count(Players),
    Took = erlang:monotonic_time(nanosecond) - Began,
    io:format("~.2f M/s~n", [(After - Before) * 1000 / Took]),
    halt(0).

pair() ->
    A = spawn(?MODULE, player, [0]),
    B = spawn(?MODULE, player, [0]),
    A ! {ball, B},
    [A, B].

player(Count) ->
    receive
        {ball, Peer} ->
            Peer ! {ball, self()},
            player(Count + 1);
        {count, Asker} ->
            Asker ! {counted, Count},
            player(Count)
    end.

%% Each answers after the balls before the question; all are asked at once.
count(Players) ->
    [Player ! {count, self()} || Player <- Players],
    lists:sum([receive {counted, Count} -> Count end || _ <- Players]).
